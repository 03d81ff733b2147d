package captcha

import "fmt"

// Step is one line of a difficulty table.
type Step struct {
	// From is the least score, 0 to 100, at which the step is taken.
	From int
	// Work is what one try costs both sides.
	Work Work
	// Digits is how many hex digits of the key are given, 1 to 6: 16^Digits tries on average. The server's work does
	// not depend on it.
	Digits int
}

// DefaultSteps returns the default table, for PBKDF2. The times are means of one worker of a desktop browser, about 1
// ms for 5000 iterations; the script uses several workers, a phone's are three to five times slower, and in random
// mode one visitor in a hundred needs 4.6 times the mean.
//
//	score from  cost    prefix  tries  one worker   server
//	 0           5000   2 hex     256  0.25 s       2 ms
//	31          10000   2 hex     256  0.5 s        4 ms
//	46          20000   2 hex     256  1 s          9 ms
//	61           5000   3 hex    4096  4 s          2 ms
//	76          10000   3 hex    4096  8 s          4 ms
//
// Each failure moves one line down.
func DefaultSteps() []Step {
	return []Step{
		{From: 0, Work: Work{Cost: 5000}, Digits: 2},
		{From: 31, Work: Work{Cost: 10_000}, Digits: 2},
		{From: 46, Work: Work{Cost: 20_000}, Digits: 2},
		{From: 61, Work: Work{Cost: 5000}, Digits: 3},
		{From: 76, Work: Work{Cost: 10_000}, Digits: 3},
	}
}

// ChooseStep returns the last step whose From the score reaches, moved down by one step a failure, at most to the last
// one. It is a pure function: neither a higher score nor more failures ever gives an earlier step. An empty table gives
// the zero Step.
func ChooseStep(steps []Step, score, failures int) Step {
	if len(steps) == 0 {
		return Step{}
	}
	i := 0
	for i+1 < len(steps) && score >= steps[i+1].From {
		i++
	}
	return steps[i+min(max(failures, 0), len(steps)-1-i)]
}

const maxDigits = 6

// checkSteps says what is wrong with a table for kdf.
func checkSteps(steps []Step, kdf KDF) error {
	if len(steps) == 0 || len(steps) > 32 {
		return fmt.Errorf("captcha: %d difficulty steps; give 1 to 32, or nil for DefaultSteps", len(steps))
	}
	for i, s := range steps {
		if i == 0 && s.From != 0 {
			return fmt.Errorf("captcha: the first difficulty step starts at score %d; it must start at 0", s.From)
		}
		if i > 0 && s.From <= steps[i-1].From || s.From > 100 {
			return fmt.Errorf("captcha: difficulty step %d starts at score %d; starts must rise and stay within 100", i, s.From)
		}
		if s.Digits < 1 || s.Digits > maxDigits {
			return fmt.Errorf("captcha: difficulty step %d asks for %d hex digits; it must be 1 to %d", i, s.Digits, maxDigits)
		}
		if err := kdf.Check(s.Work); err != nil {
			return fmt.Errorf("captcha: difficulty step %d: %w", i, err)
		}
	}
	return nil
}
