package ratelimit

import "strconv"

// Level is what a decision says. Stricter levels are larger. The zero value is invalid and allows nothing.
type Level uint8

// The levels.
const (
	Allow     Level = iota + 1 // go on; charged
	Slow                       // an offender: wait a little, nothing is charged
	Challenge                  // show that you are human, then ask again with Subject.Challenged
	Deny                       // a hard limit is exceeded: try again later
	Ban                        // the source is banned for a while
)

// String returns the level's name in lower case.
func (l Level) String() string {
	switch l {
	case Allow:
		return "allow"
	case Slow:
		return "slow"
	case Challenge:
		return "challenge"
	case Deny:
		return "deny"
	case Ban:
		return "ban"
	}
	return "level(" + strconv.Itoa(int(l)) + ")"
}
