package phone

import (
	"errors"
	"fmt"
	"time"
)

// Micro is a millionth of the currency prices and budgets are told in.
const Micro = 1

// Unit is one of the currency: 1,000,000 millionths.
const Unit = 1_000_000 * Micro

// Scope is what one count of a [Budget] covers.
type Scope uint8

// The scopes.
const (
	Total      Scope = iota // all numbers of a tenant together
	PerCountry              // each region for itself
	PerPrefix               // each block of 10,000 numbers for itself: all but the last four digits
)

// Budget bounds what is spent on messages. Spending is reserved before anything is sent: a budget is never exceeded, in
// no stretch of time as long as its window.
type Budget struct {
	Scope   Scope
	Channel Channel // only this one; 0: all
	Window  time.Duration
	Max     int64 // millionths of the currency
}

// DefaultBudgets are small: 20 units an hour and 100 a day in all, 10 an hour for a country and 2 for a block, and
// 5 an hour in all and 2 for a country on calls.
func DefaultBudgets() []Budget {
	return []Budget{
		{Scope: Total, Window: time.Hour, Max: 20 * Unit},
		{Scope: Total, Window: 24 * time.Hour, Max: 100 * Unit},
		{Scope: PerCountry, Window: time.Hour, Max: 10 * Unit},
		{Scope: PerPrefix, Window: time.Hour, Max: 2 * Unit},
		{Scope: Total, Channel: Voice, Window: time.Hour, Max: 5 * Unit},
		{Scope: PerCountry, Channel: Voice, Window: time.Hour, Max: 2 * Unit},
	}
}

// Prices tell what a message costs in millionths of the currency.
type Prices interface {
	Price(n Number, ch Channel) int64
}

// PriceTable is a table of prices by country and channel.
type PriceTable map[string]map[Channel]int64

// Dear prices, for what a table does not list: unknown destinations are dear ones.
const (
	DearMessage = Unit / 10
	DearCall    = Unit / 4
)

// Price implements [Prices].
func (t PriceTable) Price(n Number, ch Channel) int64 {
	if p, ok := t[n.Region()][ch]; ok {
		return p
	}
	if ch == Voice {
		return DearCall
	}
	return DearMessage
}

// SendLimits bound how many messages are asked for, whatever they cost. Zero: the default; negative: none.
type SendLimits struct {
	PhoneHour   int // to one number; default 5
	PhoneDay    int // default 10
	DeviceHour  int // by one device; default 10
	NetworkHour int // by one /24 or /48; default 30
	BlockHour   int // to one block of 1000 numbers; default 10
	PrefixHour  int // to one block of 10,000 numbers; default 40
}

// FailureLimits bound wrong codes across codes, flows and sessions. Zero: the default. They have no off: NIST SP 800-63B
// wants a limit for codes this short.
type FailureLimits struct {
	PhoneHour  int // of one number; default 10
	PhoneDay   int // default 20
	DeviceHour int // of one device; default 20
}

func checkBudgets(list []Budget) error {
	if len(list) == 0 {
		return errors.New("phone: no budget; leave Budgets nil for DefaultBudgets")
	}
	if len(list) > 12 {
		return errors.New("phone: at most 12 budgets")
	}
	for i, b := range list {
		if b.Scope > PerPrefix || b.Channel >= channels || b.Window < time.Minute || b.Window > maxWindow || b.Max <= 0 {
			return fmt.Errorf("phone: budget %d: want a scope, a window of a minute to 31 days and a Max above 0", i)
		}
		for j := range list[:i] {
			if list[j].Scope == b.Scope && list[j].Channel == b.Channel && list[j].Window == b.Window {
				return fmt.Errorf("phone: budgets %d and %d are of the same scope, channel and window", j, i)
			}
		}
	}
	return nil
}
