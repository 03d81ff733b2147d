package main

import (
	"io"
	"log/slog"
	"slices"
)

// newLog makes a log for people to read. The assessments in it come from risk.NewSlogSink; what is the same in every
// line of this server, or in the line twice, is left out.
func newLog(w io.Writer) *slog.Logger {
	noise := []string{"policy", "hash", "segment"}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			switch {
			case len(groups) == 0 && a.Key == slog.TimeKey:
				return slog.String(a.Key, a.Value.Time().Format("15:04:05.000"))
			case slices.Equal(groups, []string{"assessment"}) && slices.Contains(noise, a.Key),
				slices.Equal(groups, []string{"attempt"}):
				return slog.Attr{}
			}
			return a
		},
	}))
}
