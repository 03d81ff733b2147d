package phone

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vestibule-go/vestibule/risk/keyed"
)

// Key names something in a store: 128 bits of a keyed hash, from which nothing leads back. Keys of different tenants
// and uses are unrelated.
type Key = keyed.Sum

// Store keeps codes, counters and grants. [Verifier] calls it; it must be safe for concurrent use. [Memory] is one,
// package phoneredis has one for several instances, and package phonetest the suite both pass. Each call is one atomic
// step: on Redis one script, one round trip.
//
// An error means that the store could not tell. Callers then send nothing and let nobody pass. After an error a change
// may or may not have happened; it is never sent again.
//
// Time is the store's. Should its clock be set back, nothing is won by it: codes and grants that were made later than
// now (but for [ClockSlack]) are none, cool-downs last no longer than they are long, and what counters were charged
// ahead of the clock counts until it has caught up.
type Store interface {
	// Issue judges whether a code may be sent now, and if so charges every quota and keeps the code, all or nothing.
	Issue(ctx context.Context, r *Issue) error
	// Settle corrects what Issue charged once the sender has answered.
	Settle(ctx context.Context, r *Settle) error
	// Check compares and consumes in one step: of any number of concurrent calls at most Issue.Tries are evaluated, and
	// at most one is Right.
	Check(ctx context.Context, r *Check) error
	// Granted tells what Check has recorded under a grant key; the zero Grant: nothing.
	Granted(ctx context.Context, tenant string, key Key) (Grant, error)
}

// ErrFull says that a store in memory has no room for another number. It never forgets a live one to make room.
var ErrFull = errors.New("phone: the store is full")

// ErrRequest says that a request to a store breaks the documented bounds.
var ErrRequest = errors.New("phone: invalid request to the store")

// ClockSlack is how far a store's clock may be set back, as clocks are that are corrected, without codes and grants dying.
const ClockSlack = 30 * time.Second

// Quota is a counter with a bound. It counts in twelfths of its window and forgets a twelfth when the whole of it is
// older than the window: within any stretch of time as long as the window, never more than Max is spent.
type Quota struct {
	Key    Key
	Window time.Duration // at least 12 ms, at most 31 days
	Max    int64
	Cost   int64 // what Issue adds; 0 only looks
	Money  bool  // what Settle gives back when the sender surely refused
}

// MaxQuotas bounds the quotas, failures and routes of one request, each.
const MaxQuotas = 24

// IssueOutcome is what became of an [Issue].
type IssueOutcome uint8

// The outcomes.
const (
	Issued    IssueOutcome = iota + 1 // a new code; one there was before is dead
	Resend                            // the living code once more
	Duplicate                         // this very request was granted before: nothing is to be sent
	Cooling                           // too soon after the last message to this number
	Exceeded                          // a quota is spent
	LockedOut                         // too many failures of this number or device
	Withheld                          // Issue.Withhold was set
)

// Issue asks for a code to be kept and sent.
type Issue struct {
	Tenant  string
	Record  Key // one code lives for it: number and purpose
	Phone   Key // the number: cool-downs
	Flow    Key // what the code is bound to
	Request Key // the client's name for this request; zero: none
	Seed    Key // of a new code
	MAC     Key // of a new code
	Channel Channel
	TTL     time.Duration // of a new code
	Fresh   time.Duration // a living code is sent again only with this much life left
	Tries   int           // evaluations a new code allows
	Sends   int           // most messages with one code
	// Cooldowns are the pauses after the first, second, ... message to the number; the last one repeats. The count
	// begins again an hour after the last message.
	Cooldowns []time.Duration
	Failures  []Quota // LockedOut when one of them has reached Max; Cost does not matter
	Quotas    []Quota // charged all or none
	Routes    []Key   // conversion counters: a new code counts as sent
	// Withhold says that nothing will be sent, whatever the quotas say: none is charged.
	Withhold bool
	// Decoy, unless zero, is the MAC of no code. When nothing will be sent (Withheld, Exceeded) the cool-down begins all
	// the same, and the decoy is kept where no code lives: whoever asked, asks again and tries codes then meets what he
	// would have met. It is left out where there is no room.
	Decoy Key

	Outcome IssueOutcome
	At      time.Time // the store's clock
	// RetryAfter is when asking again may help, of Cooling, LockedOut, and Exceeded without a Decoy; of the others the
	// pause that has begun.
	RetryAfter time.Duration
	Quota      int // index of what was Exceeded
	LiveSeed   Key // of the code to send
	LiveMAC    Key
	Expires    time.Time
	Sent       int // messages with this code, this one included
}

// Settle corrects an [Issue].
type Settle struct {
	Tenant  string
	Record  Key
	Flow    Key
	At      time.Time // Issue.At
	Adjust  []Quota   // Cost is added to what was charged at At: negative gives back, never below zero
	Retract []Key     // routes that do not count the send after all
	Ref     string    // a hosted service's name for the verification, kept with the code; at most 256 bytes
	Message Key       // the sender's name for the message, for [RouteStore].Deliver; zero: none
	Routes  []Key     // of the message
}

// CheckMode is how [Check] works.
type CheckMode uint8

// The modes. Evaluate compares. Reserve and Confirm are for hosted services, which compare themselves: Reserve takes one
// try and counts a failure before the service is asked, Confirm takes the failure back and consumes the code.
const (
	Evaluate CheckMode = iota
	Reserve
	Confirm
)

// CheckOutcome is what became of a [Check].
type CheckOutcome uint8

// The outcomes.
const (
	Right    CheckOutcome = iota + 1 // and consumed: there is no second time
	Wrong                            // counted
	Barred                           // too many failures of the number or device: not evaluated
	Gone                             // no such code: expired, used up, replaced, of another flow, never sent
	Reserved                         // Reserve took a try
)

// Check asks whether a code is right.
type Check struct {
	Tenant   string
	Mode     CheckMode
	Record   Key
	Flow     Key
	MACs     []Key // of the given code under each pepper; at most 16
	Failures []Quota
	Grant    Key           // where success is recorded
	GrantTTL time.Duration // for how long
	Routes   [channels][]Key
	At       time.Time // of Confirm: Check.Now of Reserve
	Ref      string    // of Confirm: what Reserve answered

	Outcome CheckOutcome
	Now     time.Time
	Left    int // tries left
	Channel Channel
	Sent    string // Reserve: the hosted service's name for the verification
}

// Grant is what is recorded under flow and number.
type Grant struct {
	Channel Channel   // how the number was verified; zero: it was not
	At      time.Time // when
	Wrong   int       // wrong codes before that
}

// RouteStore keeps how many of the codes sent on a route are confirmed. A route is a country, prefix and channel.
type RouteStore interface {
	// Routes tells about routes, in the order of the keys.
	Routes(ctx context.Context, tenant string, keys []Key) ([]RouteStats, error)
	// Hold blocks a route until base*2^(holds before) from now, at most max, unless it is held already. Holds are
	// forgotten when the route was free for max.
	Hold(ctx context.Context, tenant string, key Key, base, max time.Duration) (until time.Time, err error)
	// Release ends a hold that its probes have disproved.
	Release(ctx context.Context, tenant string, key Key) error
	// Deliver notes that a message failed, or arrived. It reports false for messages it does not know and for
	// repeated calls.
	Deliver(ctx context.Context, tenant string, message Key, failed bool) (first bool, err error)
}

// Resolution of [RouteStats]: the length of a bucket, and how many days are kept.
const (
	RouteBucketLength = 10 * time.Minute
	RouteDays         = 8
)

// RouteStats is what a store knows about a route.
type RouteStats struct {
	Now     time.Time
	Since   time.Time // beginning of the hold that is or was last; zero: none
	Until   time.Time // its end
	Holds   int
	Buckets []RouteBucket // of the last two days, oldest first, none empty
	Days    []RouteBucket // of the last RouteDays days, oldest first, none empty
}

// RouteBucket counts the codes sent in a stretch of time, and what became of those.
type RouteBucket struct {
	Start                   time.Time
	Sent, Converted, Failed int64
}

// Sighting tells that a number was seen in an attempt.
type Sighting struct {
	Tenant string
	Phone  Key
	// Sets count distinct numbers, each in its window; at most 8.
	Sets []SightingSet
	// Block and Offset place the number in its block of 1000 for the search for sequences; zero Block: none.
	Block  Key
	Offset int           // 0 to 999
	Window time.Duration // for Block
	Near   int           // how far apart numbers may be to count as one sequence

	// Distinct tells for each set how many numbers it holds, this one included, at most MaxDistinct.
	Distinct []int
	// Run is how many distinct numbers, this one included, stand in a row around it with gaps of at most Near.
	Run int
}

// SightingSet is a set of distinct numbers.
type SightingSet struct {
	Key    Key
	Window time.Duration
}

// MaxDistinct is the most that a set counts to.
const MaxDistinct = 64

// SightingStore counts sightings: one atomic step, counted before it answers.
type SightingStore interface {
	Sight(ctx context.Context, s *Sighting) error
}

// Validate returns an error that is ErrRequest when the request breaks its bounds. Stores call it first.
func (r *Issue) Validate() error {
	switch {
	case len(r.Quotas) > MaxQuotas || len(r.Failures) > MaxQuotas || len(r.Routes) > MaxQuotas || len(r.Cooldowns) > MaxQuotas:
		return fmt.Errorf("%w: more than %d entries", ErrRequest, MaxQuotas)
	case r.TTL <= 0 || r.Tries <= 0 || r.Sends <= 0 || len(r.Cooldowns) == 0:
		return fmt.Errorf("%w: Issue wants a TTL, Tries, Sends and Cooldowns", ErrRequest)
	case r.Channel == 0 || r.Channel >= channels:
		return fmt.Errorf("%w: no channel", ErrRequest)
	}
	for _, d := range r.Cooldowns {
		if d < 0 || d > time.Hour {
			return fmt.Errorf("%w: a cool-down outside 0 to 1 h", ErrRequest)
		}
	}
	if err := validQuotas(r.Quotas); err != nil {
		return err
	}
	return validQuotas(r.Failures)
}

// Validate is [Issue.Validate] for a Settle.
func (r *Settle) Validate() error {
	if len(r.Adjust) > MaxQuotas || len(r.Retract) > MaxQuotas || len(r.Routes) > MaxQuotas || len(r.Ref) > 256 {
		return fmt.Errorf("%w: too many entries or a Ref over 256 bytes", ErrRequest)
	}
	return validQuotas(r.Adjust)
}

// Validate is [Issue.Validate] for a Check.
func (r *Check) Validate() error {
	switch {
	case r.Mode > Confirm || len(r.Failures) > MaxQuotas || len(r.MACs) > keyed.MaxKeys*2:
		return fmt.Errorf("%w: Check", ErrRequest)
	case r.Mode == Evaluate && len(r.MACs) == 0:
		return fmt.Errorf("%w: nothing to compare with", ErrRequest)
	case r.Mode != Reserve && r.GrantTTL <= 0:
		return fmt.Errorf("%w: Check wants a GrantTTL", ErrRequest)
	}
	return validQuotas(r.Failures)
}

// Validate is [Issue.Validate] for a Sighting.
func (s *Sighting) Validate() error {
	if len(s.Sets) > 8 || s.Offset < 0 || s.Offset > 999 || s.Near < 0 || s.Near > 999 || s.Block != (Key{}) && s.Window <= 0 {
		return fmt.Errorf("%w: Sighting", ErrRequest)
	}
	for _, set := range s.Sets {
		if set.Window <= 0 {
			return fmt.Errorf("%w: a set without a window", ErrRequest)
		}
	}
	return nil
}

const (
	quotaParts = 12
	maxWindow  = 31 * 24 * time.Hour
)

func validQuotas(list []Quota) error {
	for i := range list {
		if q := &list[i]; q.Window < quotaParts*time.Millisecond || q.Window > maxWindow || q.Max < 0 {
			return fmt.Errorf("%w: quota %d: window %v, max %d", ErrRequest, i, q.Window, q.Max)
		}
		for j := range list[:i] {
			if list[j].Key == list[i].Key {
				return fmt.Errorf("%w: quotas %d and %d have the same key", ErrRequest, j, i)
			}
		}
	}
	return nil
}
