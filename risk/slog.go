package risk

import (
	"context"
	"fmt"
	"io"
	"log/slog"
)

// SlogSink is a Sink that logs each assessment with its reasons, at Info, or at Warn when it is degraded. It logs codes
// and points, no evidence and no personal data. It is safe for concurrent use.
type SlogSink struct{ log *slog.Logger }

// NewSlogSink logs to log; nil means slog.Default().
func NewSlogSink(log *slog.Logger) *SlogSink {
	if log == nil {
		log = slog.Default()
	}
	return &SlogSink{log: log}
}

var _ Sink = (*SlogSink)(nil)

// Record logs the assessment.
func (s *SlogSink) Record(ctx context.Context, d *Decision) error {
	level := slog.LevelInfo
	if d.Assessment.Degraded {
		level = slog.LevelWarn
	}
	s.log.LogAttrs(ctx, level, "assessment", slog.Any("assessment", d.Assessment), slog.Any("attempt", *d.Attempt))
	return nil
}

// LogValue logs the assessment without the flow's name, which is a secret of the client.
func (s *Assessment) LogValue() slog.Value {
	if s == nil {
		return slog.StringValue("none")
	}
	attrs := []slog.Attr{
		slog.String("id", s.ID), slog.String("event", string(s.Event)), slog.String("action", s.Action.String()),
		slog.Int("score", s.Score), slog.String("level", s.Level), slog.String("policy", s.Policy.Name),
		slog.String("hash", clip(s.Policy.Hash)), slog.String("segment", s.Policy.Segment),
	}
	if len(s.Require) > 0 {
		attrs = append(attrs, slog.Any("require", s.Require))
	}
	if !s.Until.IsZero() {
		attrs = append(attrs, slog.Time("until", s.Until))
	}
	reasons := make([]string, 0, len(s.Reasons))
	for _, r := range s.Reasons {
		reasons = append(reasons, r.String())
	}
	attrs = append(attrs, slog.Any("reasons", reasons))
	if s.Degraded {
		attrs = append(attrs, slog.Bool("degraded", true))
	}
	for _, e := range s.Errors {
		attrs = append(attrs, slog.String("error."+e.Signal, string(e.Cause)))
	}
	if len(s.Skipped) > 0 {
		attrs = append(attrs, slog.Any("skipped", s.Skipped))
	}
	if len(s.Unused) > 0 {
		attrs = append(attrs, slog.Any("unused", s.Unused))
	}
	return slog.GroupValue(attrs...)
}

// String is the assessment in a line: what it logs as.
func (s *Assessment) String() string { return "assessment " + s.LogValue().String() }

// Format prints String for every verb: package fmt would else print what the engine keeps of the attempt.
func (s Assessment) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// String is the reason in a line: "ip.tor +22 (network)".
func (r Reason) String() string {
	name := r.Code
	switch {
	case r.Rule != "":
		name = "rule " + r.Rule
	case r.Signal != "":
		name = r.Signal + "." + r.Code
	}
	text := name + " " + signed(r.Points)
	if r.Group != "" {
		text += " (" + r.Group + ")"
	}
	return text
}
