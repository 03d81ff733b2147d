package ratelimit

import "math"

// most is the largest debt the bucket keeps.
func (c *Bucket) most() int64 {
	if c.ChargeDenied {
		return 2 * c.Interval * c.Burst
	}
	return c.Interval * c.Burst
}

// owe computes the debt from the stored TAT. The upper bound holds three accidents to one full bucket: a clock that
// goes back, a limit that was lowered and a rate that was raised.
func (c *Bucket) owe(now int64) int64 {
	if c.tat <= now {
		return 0
	}
	return min(c.tat-now, c.most())
}

// mend has a stored TAT that is out of bounds cut in the store too: else what caused it would last.
func (c *Bucket) mend(now int64) {
	if c.tat-now > c.most() {
		c.tat = now + c.most()
		c.set = true
	}
}

// charge sets the TAT to be stored.
func (c *Bucket) charge(now int64) {
	if c.Cost > 0 {
		c.Debt = min(c.Debt+c.Cost*c.Interval, c.most())
		c.tat = now + c.Debt
		c.set = true
	}
}

// judge answers a batch whose stored TATs and records are loaded, and marks what is to be written. It is the whole
// algorithm; stores only load and write.
func (b *Batch) judge() {
	now := b.Now
	level, weight, banned := Allow, int64(0), false
	for i := range b.Sources {
		s := &b.Sources[i]
		s.read(now, b.Ladder)
		s.set = s.set && !b.DryRun
		s.answer(now, b.Ladder)
		if s.Level == Ban {
			banned = true
		} else if !b.Challenged {
			level = max(level, s.Level)
		}
	}
	if level == Challenge {
		weight = b.Ladder.Repeat
	}
	for i := range b.Buckets {
		c := &b.Buckets[i]
		c.set = false
		c.Debt = c.owe(now)
		c.Exceeded = c.Debt+c.Cost*c.Interval > c.Interval*c.Burst
		if !b.DryRun {
			c.mend(now)
		}
		if !c.decides(b) {
			continue
		}
		if c.Soft {
			level = max(level, Challenge)
		} else {
			level = max(level, Deny)
		}
		weight = max(weight, c.Weight)
	}
	b.Charged = false
	switch {
	case banned:
		level = Ban
	case b.DryRun:
	case level == Allow:
		b.Charged = true
		for i := range b.Buckets {
			if c := &b.Buckets[i]; !c.Hold {
				c.charge(now)
			}
		}
	case level == Slow:
	default:
		for i := range b.Buckets {
			if c := &b.Buckets[i]; c.Exceeded && c.ChargeDenied && !c.Hold {
				c.charge(now)
			}
		}
		for i := range b.Sources {
			s := &b.Sources[i]
			s.offend(weight, now, b.Ladder)
			if s.Level == Ban {
				level = Ban
			}
		}
	}
	b.Level = level
	b.wait()
}

// decides reports whether the bucket is exceeded and that counts.
func (c *Bucket) decides(b *Batch) bool { return c.Exceeded && !(c.Soft && b.Challenged) }

// wait fills in Wait from the answers.
func (b *Batch) wait() {
	b.Wait = 0
	if b.Level == Allow {
		return
	}
	for i := range b.Sources {
		if s := &b.Sources[i]; s.Level == Ban || s.Level == Slow && b.Level != Ban {
			b.Wait = max(b.Wait, s.Until-b.Now)
		}
	}
	for i := range b.Buckets {
		if c := &b.Buckets[i]; b.Level != Ban && c.decides(b) {
			b.Wait = max(b.Wait, c.Debt+c.Cost*c.Interval-c.Interval*c.Burst)
		}
	}
}

// adjust applies an Adjust to loaded state.
func (b *Batch) adjust() {
	now := b.Now
	for i := range b.Buckets {
		c := &b.Buckets[i]
		c.set = false
		c.Debt = c.owe(now)
		if c.Cost > 0 {
			c.charge(now)
		} else if c.Debt > 0 {
			c.Debt = max(0, c.Debt+c.Cost*c.Interval)
			c.tat = now + c.Debt
			c.set = true
		}
	}
	for i := range b.Sources {
		s := &b.Sources[i]
		s.read(now, b.Ladder)
		if b.Offence >= 0 {
			s.offend(b.Offence, now, b.Ladder)
		} else {
			s.forgive(-b.Offence, now, b.Ladder)
		}
	}
}

// record is what is kept about an offender. The zero record is nobody's.
type record struct {
	atUs, until int64 // microseconds; until is the end of the last ban
	score       int32 // thousandths, at atUs
	bans        uint8
}

// keepHalfLives is how many half-lives a record outlives its last offence and ban.
const keepHalfLives = 10

// end is when the record is forgotten.
func (r record) end(l *Ladder) int64 { return max(r.atUs, r.until) + keepHalfLives*l.HalfLife }

// read takes the loaded record as it is to be judged now: forgotten when it is old, and without times later than a
// clock that went back allows, which are then mended in the store too.
func (s *Offender) read(now int64, l *Ladder) {
	s.set = false
	r := &s.rec
	if r.atUs == 0 || r.end(l) <= now {
		*r = record{}
		return
	}
	if r.atUs > now {
		r.atUs, s.set = now, true
	}
	if r.until > now+l.MaxBan {
		r.until, s.set = now+l.MaxBan, true
	}
}

// faded is the score now.
func (r record) faded(now int64, l *Ladder) int64 {
	if r.score == 0 || now <= r.atUs {
		return int64(r.score)
	}
	return int64(float64(r.score) * halved(float64(now-r.atUs)/float64(l.HalfLife)))
}

// halved returns 2^-x for x >= 0, exactly for whole x and else to ten digits, in a third of the time of math.Exp2: a
// sign-up reads three scores.
func halved(x float64) float64 {
	whole := math.Floor(x)
	if whole >= 64 {
		return 0
	}
	h := 1 / float64(uint64(1)<<uint(whole))
	if x == whole {
		return h
	}
	// e^y for y = -(fraction - 1/2) * ln 2, |y| < 0.35, times 2^-1/2.
	y := (0.5 - (x - whole)) * math.Ln2
	e := 1 + y*(1+y*(1./2+y*(1./6+y*(1./24+y*(1./120+y*(1./720+y*(1./5040+y*(1./40320))))))))
	return h * e * (math.Sqrt2 / 2)
}

// answer fills in Score, Level and Until.
func (s *Offender) answer(now int64, l *Ladder) {
	if s.rec == (record{}) {
		s.Score, s.Level, s.Until = 0, Allow, 0
		return
	}
	s.Score = s.rec.faded(now, l)
	slow := s.rec.atUs + l.Slow
	switch {
	case now < s.rec.until && s.Most == Ban:
		s.Level, s.Until = Ban, s.rec.until
	case s.Score >= l.ChallengeAt && s.Most >= Challenge:
		s.Level, s.Until = Challenge, 0
	case int64(s.rec.score) >= l.SlowAt && now < slow:
		s.Level, s.Until = Slow, slow
	default:
		s.Level, s.Until = Allow, 0
	}
}

// offend adds weight, scaled by the source's share.
func (s *Offender) offend(weight, now int64, l *Ladder) {
	if weight == 0 {
		s.answer(now, l)
		return
	}
	r := &s.rec
	score := min(r.faded(now, l)+ceilDiv(weight*s.Share, 1000), l.Max)
	r.score, r.atUs = int32(score), now
	if score >= l.BanAt && s.Most == Ban && now >= r.until {
		// 40 doublings of at least a second are more than any MaxBan.
		doublings := min(int64(r.bans)+(score-l.BanAt)/l.BanAt, 40)
		length := l.MaxBan
		if l.Ban <= l.MaxBan>>doublings {
			length = l.Ban << doublings
		}
		r.until = now + length
		if r.bans < math.MaxUint8 {
			r.bans++
		}
	}
	s.set = true
	s.answer(now, l)
}

// forgive takes weight back. The time of the last offence stays, so the weight is scaled to what it was worth then.
func (s *Offender) forgive(weight, now int64, l *Ladder) {
	if r := &s.rec; r.score > 0 {
		then := float64(ceilDiv(weight*s.Share, 1000)) * math.Exp2(float64(now-r.atUs)/float64(l.HalfLife))
		r.score -= int32(math.Ceil(min(then, float64(r.score))))
		s.set = true
	}
	s.answer(now, l)
}
