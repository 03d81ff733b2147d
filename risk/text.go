package risk

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"time"
)

// enum is one of this package's small numbers with names.
type enum interface {
	~uint8
	String() string
}

// parseName finds the value of T whose name is text, or fails naming what the value is for.
func parseName[T enum](text []byte, what string, values ...T) (T, error) {
	for _, v := range values {
		if v.String() == string(text) {
			return v, nil
		}
	}
	return 0, fmt.Errorf("risk: unknown %s %q", what, clip(string(text)))
}

// clip bounds what an error repeats of its input.
func clip(s string) string {
	const most = 40
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

var actions = []Action{Allow, Wait, Challenge, Delay, Review, Lock, Block}

// String returns the action's name in lower case.
func (a Action) String() string {
	switch a {
	case Allow:
		return "allow"
	case Wait:
		return "wait"
	case Challenge:
		return "challenge"
	case Delay:
		return "delay"
	case Review:
		return "review"
	case Lock:
		return "lock"
	case Block:
		return "block"
	}
	return "action(" + strconv.Itoa(int(a)) + ")"
}

// MarshalText returns the action's name; the zero action marshals as "".
func (a Action) MarshalText() ([]byte, error) { return marshalName(a) }

// UnmarshalText reads a name.
func (a *Action) UnmarshalText(text []byte) (err error) {
	*a, err = parseName(text, "action", actions...)
	return err
}

// String returns "observed", "absent" or "invalid".
func (s State) String() string {
	switch s {
	case Observed:
		return "observed"
	case Absent:
		return "absent"
	case Invalid:
		return "invalid"
	}
	return "state(" + strconv.Itoa(int(s)) + ")"
}

// MarshalText returns the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a name.
func (s *State) UnmarshalText(text []byte) (err error) {
	*s, err = parseName(text, "state", Observed, Absent, Invalid)
	return err
}

// String returns "local", "stored", "remote" or "costly".
func (c Cost) String() string {
	switch c {
	case Local:
		return "local"
	case Stored:
		return "stored"
	case Remote:
		return "remote"
	case Costly:
		return "costly"
	}
	return "cost(" + strconv.Itoa(int(c)) + ")"
}

// String returns "open", "challenge", "review" or "closed".
func (m FailMode) String() string {
	switch m {
	case FailOpen:
		return "open"
	case FailChallenge:
		return "challenge"
	case FailReview:
		return "review"
	case FailClosed:
		return "closed"
	}
	return "failmode(" + strconv.Itoa(int(m)) + ")"
}

// MarshalText returns the mode's name; the zero mode marshals as "".
func (m FailMode) MarshalText() ([]byte, error) { return marshalName(m) }

// UnmarshalText reads a name.
func (m *FailMode) UnmarshalText(text []byte) (err error) {
	*m, err = parseName(text, "fail mode", FailOpen, FailChallenge, FailReview, FailClosed)
	return err
}

// String returns "judged", "completed", "refused" or "undone".
func (o Outcome) String() string {
	switch o {
	case Judged:
		return "judged"
	case Completed:
		return "completed"
	case Refused:
		return "refused"
	case Undone:
		return "undone"
	}
	return "outcome(" + strconv.Itoa(int(o)) + ")"
}

// String returns "good" or "fraud".
func (v Verdict) String() string {
	switch v {
	case Good:
		return "good"
	case Fraud:
		return "fraud"
	}
	return "verdict(" + strconv.Itoa(int(v)) + ")"
}

// MarshalText returns the verdict's name; the zero verdict marshals as "".
func (v Verdict) MarshalText() ([]byte, error) { return marshalName(v) }

// UnmarshalText reads a name.
func (v *Verdict) UnmarshalText(text []byte) (err error) {
	*v, err = parseName(text, "verdict", Good, Fraud)
	return err
}

// String formats the value.
func (v Value) String() string {
	switch v.kind {
	case Number:
		return strconv.FormatFloat(v.num, 'g', -1, 64)
	case Text:
		return v.text
	}
	return ""
}

func marshalName[T enum](v T) ([]byte, error) {
	if v == 0 {
		return nil, nil
	}
	return []byte(v.String()), nil
}

func sameType(a, b any) bool { return reflect.TypeOf(a) == reflect.TypeOf(b) }

func marshalAttempt(a Attempt) ([]byte, error) {
	return json.Marshal(struct {
		ID      string    `json:"id,omitempty"`
		Event   Event     `json:"event,omitempty"`
		Time    time.Time `json:"time,omitzero"`
		Tenant  string    `json:"tenant,omitempty"`
		Channel string    `json:"channel,omitempty"`
		Tier    string    `json:"tier,omitempty"`
		Client  string    `json:"client,omitempty"`
	}{a.ID, a.Event, a.Time, a.Tenant, a.Channel, a.Tier, a.Client})
}

// signed writes a number with its sign.
func signed(v int) string {
	if v >= 0 {
		return "+" + strconv.Itoa(v)
	}
	return strconv.Itoa(v)
}
