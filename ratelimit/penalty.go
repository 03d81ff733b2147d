package ratelimit

import (
	"errors"
	"fmt"
	"maps"
	"time"
)

// Failure is something a visitor failed at after a decision, told to [Limiter.Report]. Applications add their own.
type Failure string

// The failures the default penalty and the [Signal] know.
const (
	CaptchaFailed Failure = "captcha"
	AttestFailed  Failure = "attest"
	OTPFailed     Failure = "otp"
	Refused       Failure = "refused" // the application refused: a wrong password
)

// Penalty is how offences of sources grow and fade. Attempts refused by a limit and reported failures add points to
// the score of each source present; the score halves every HalfLife; the worst level of the sources present wins.
// The zero value keeps no offences.
type Penalty struct {
	// Sources are what offences are kept for. Empty: no offences at all. A Device counts only when
	// Subject.DeviceVerified says that it is no mere claim.
	Sources []OffenceSource
	// HalfLife is how long it takes a score to halve: 1 s to 30 days.
	HalfLife time.Duration
	// SlowAt, ChallengeAt and BanAt are the scores, in points, at which a source is slowed (after each offence it
	// waits for Slow), challenged (every attempt, until the score has faded) and banned. 0 < SlowAt <= ChallengeAt <=
	// BanAt <= Max <= 100,000.
	SlowAt, ChallengeAt, BanAt, Max float64
	// Slow is how long an offence keeps a slowed source waiting: 0 (never) to 1 hour.
	Slow time.Duration
	// Ban is the length of a first ban. It doubles for each ban the source had and each whole BanAt its score is
	// above BanAt, up to MaxBan. Bans are remembered for ten half-lives after their end. 1 s to 366 days.
	Ban, MaxBan time.Duration
	// Repeat is the offence of an attempt that is refused only because its source must be challenged, so that an
	// offender who ignores challenges climbs on to the ban. 0 to 1000.
	Repeat float64
	// Failures are the offences of reported failures, in points, 0 to 1000.
	Failures map[Failure]float64
}

// OffenceSource is a dimension of class Source that offences are kept for.
type OffenceSource struct {
	Dim Dimension
	// Share is the part of an offence's points this source is given, more than 0 and at most 1. Give less to what
	// bystanders share.
	Share float64
	// Most is the strictest level its score may cause: Slow, Challenge or Ban. Ban for a prefix hits everybody in it.
	Most Level
}

// DefaultPenalty slows at 3 points, challenges at 5 and bans at 10, with a half-life of 30 minutes, bans of 5 minutes
// doubling up to 24 hours and a score of at most 80. It keeps scores for IPv4 addresses and /24, IPv6 /64 and /48, and
// verified devices; /24 and /48, which bystanders share, get a quarter of the points and are never banned.
func DefaultPenalty() Penalty {
	return Penalty{
		Sources: []OffenceSource{
			{Dim: IPv4, Share: 1, Most: Ban},
			{Dim: IPv6Prefix64, Share: 1, Most: Ban},
			{Dim: Device, Share: 1, Most: Ban},
			{Dim: IPv4Prefix24, Share: 0.25, Most: Challenge},
			{Dim: IPv6Prefix48, Share: 0.25, Most: Challenge},
		},
		HalfLife: 30 * time.Minute,
		SlowAt:   3, ChallengeAt: 5, BanAt: 10, Max: 80,
		Slow: 10 * time.Second,
		Ban:  5 * time.Minute, MaxBan: 24 * time.Hour,
		Repeat:   0.5,
		Failures: map[Failure]float64{CaptchaFailed: 2, AttestFailed: 3, OTPFailed: 1, Refused: 0},
	}
}

// sourceRule is a checked OffenceSource.
type sourceRule struct {
	share int64
	most  Level
}

// penalty is a checked Penalty.
type penalty struct {
	ladder   Ladder
	sources  map[Dimension]sourceRule
	failures map[Failure]int64
}

func (p *Penalty) compile() (*penalty, error) {
	c := &penalty{sources: map[Dimension]sourceRule{}, failures: map[Failure]int64{}}
	fail := func(format string, args ...any) (*penalty, error) {
		return nil, fmt.Errorf("penalty: "+format, args...)
	}
	for f, points := range p.Failures {
		w, err := thousandths(points)
		if err != nil {
			return fail("failure %q %w", clip(string(f)), err)
		}
		c.failures[f] = w
	}
	if len(p.Sources) == 0 {
		if p.HalfLife != 0 || p.BanAt != 0 {
			return fail("Sources is empty: name what offences are kept for, or leave the whole Penalty zero")
		}
		return c, nil
	}
	for _, s := range p.Sources {
		if s.Dim.Class() != Source {
			return fail("source %q is not of class Source: strangers could have it banned", clip(string(s.Dim)))
		}
		if _, twice := c.sources[s.Dim]; twice {
			return fail("source %q is listed twice", s.Dim)
		}
		if !(s.Share > 0 && s.Share <= 1) {
			return fail("source %q: Share is %v, must be more than 0 and at most 1", s.Dim, s.Share)
		}
		if s.Most != Slow && s.Most != Challenge && s.Most != Ban {
			return fail("source %q: Most must be Slow, Challenge or Ban", s.Dim)
		}
		share, err := thousandths(s.Share)
		if err != nil {
			return fail("source %q: Share %w", s.Dim, err)
		}
		c.sources[s.Dim] = sourceRule{share: max(share, 1), most: s.Most}
	}
	repeat, err := thousandths(p.Repeat)
	if err != nil {
		return fail("Repeat %w", err)
	}
	if !(p.SlowAt > 0 && p.SlowAt <= p.ChallengeAt && p.ChallengeAt <= p.BanAt && p.BanAt <= p.Max && p.Max <= 100_000) {
		return fail("0 < SlowAt <= ChallengeAt <= BanAt <= Max <= 100000 does not hold: %v, %v, %v, %v", p.SlowAt, p.ChallengeAt, p.BanAt, p.Max)
	}
	c.ladder = Ladder{
		HalfLife: p.HalfLife.Microseconds(),
		SlowAt:   int64(p.SlowAt * 1000), ChallengeAt: int64(p.ChallengeAt * 1000), BanAt: int64(p.BanAt * 1000), Max: int64(p.Max * 1000),
		Slow: p.Slow.Microseconds(), Ban: p.Ban.Microseconds(), MaxBan: p.MaxBan.Microseconds(),
		Repeat: repeat,
	}
	if err := c.ladder.check(); err != nil {
		return fail("%w", err)
	}
	return c, nil
}

// check refuses numbers outside the ranges Penalty documents.
func (l *Ladder) check() error {
	const sec = int64(time.Second / time.Microsecond)
	switch {
	case l.HalfLife < sec || l.HalfLife > 30*24*3600*sec:
		return errors.New("HalfLife must be 1 s to 30 days")
	case l.SlowAt < 1 || l.SlowAt > l.ChallengeAt || l.ChallengeAt > l.BanAt || l.BanAt > l.Max || l.Max > 100_000_000:
		return errors.New("0 < SlowAt <= ChallengeAt <= BanAt <= Max <= 100000 does not hold")
	case l.Slow < 0 || l.Slow > 3600*sec:
		return errors.New("Slow must be 0 to 1 hour")
	case l.Ban < sec || l.MaxBan < l.Ban || l.MaxBan > 366*24*3600*sec:
		return errors.New("1 s <= Ban <= MaxBan <= 366 days does not hold")
	case l.Repeat < 0 || l.Repeat > 1_000_000:
		return errors.New("Repeat must be 0 to 1000")
	}
	return nil
}

// Clone returns a copy that shares nothing with p.
func (p Penalty) Clone() Penalty {
	p.Sources = append([]OffenceSource(nil), p.Sources...)
	p.Failures = maps.Clone(p.Failures)
	return p
}
