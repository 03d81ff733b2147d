package ratelimit

import (
	"context"
	"fmt"
	"math"
)

// Report tells of failures after a decision: it charges the limits of kind Failures that apply to the subject, and
// adds the failures' points (Penalty.Failures; unknown ones have none) to its sources' scores.
func (l *Limiter) Report(ctx context.Context, s Subject, failures ...Failure) error {
	var points int64
	for _, f := range failures {
		points += l.policy.penalty.failures[f]
	}
	if len(failures) == 0 {
		return nil
	}
	return l.adjust(ctx, &s, toReport, failures, points)
}

// Forgive takes points back from the scores of the subject's sources: a visitor who was refused and then passed the
// challenge is no offender. It ends no ban. Points are 0 to 1000.
func (l *Limiter) Forgive(ctx context.Context, s Subject, points float64) error {
	w, err := thousandths(points)
	if err != nil {
		return fmt.Errorf("ratelimit: points %w", err)
	}
	if w == 0 {
		return nil
	}
	return l.adjust(ctx, &s, toReport, nil, -w)
}

func (l *Limiter) adjust(ctx context.Context, s *Subject, t task, failures []Failure, points int64) error {
	w := l.pool.Get().(*work)
	defer l.put(w)
	if err := l.build(w, ask{s: s, t: t, failures: failures}); err != nil {
		return err
	}
	w.batch.Offence = max(-math.MaxInt32, min(points, math.MaxInt32, 1_000_000_000))
	if points == 0 {
		w.batch.Sources = w.batch.Sources[:0]
	}
	if len(w.batch.Buckets) == 0 && len(w.batch.Sources) == 0 {
		return nil
	}
	return l.call(ctx, opAdjust, &w.batch)
}

// Reset makes the named limits full again for the subject's values; without names, all limits that apply to it but
// those of class Shared.
func (l *Limiter) Reset(ctx context.Context, s Subject, limits ...string) error {
	for _, name := range limits {
		if l.policy.byName[name] == nil {
			return fmt.Errorf("ratelimit: the policy has no limit %q", clip(name))
		}
	}
	return l.forget(ctx, &s, toReset, limits)
}

// Unban forgets scores and bans of the subject's sources.
func (l *Limiter) Unban(ctx context.Context, s Subject) error {
	return l.forget(ctx, &s, toUnban, nil)
}

func (l *Limiter) forget(ctx context.Context, s *Subject, t task, names []string) error {
	w := l.pool.Get().(*work)
	defer l.put(w)
	if err := l.build(w, ask{s: s, t: t, names: names}); err != nil {
		return err
	}
	if len(w.batch.Buckets) == 0 && len(w.batch.Sources) == 0 {
		return nil
	}
	return l.call(ctx, opForget, &w.batch)
}
