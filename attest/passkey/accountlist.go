package passkey

import (
	"context"
	"errors"
	"slices"
	"time"
)

// entry is a line of an account's list.
type entry struct {
	ID []byte `json:"i"`
	At int64  `json:"t"` // when it was made, in Unix seconds
}

// enlist notes a credential in its account's list and renews the list, which outlives its credentials. added is false when
// it was there. The error is ErrFull when the account has MaxPerAccount.
func (s *Credentials) enlist(ctx context.Context, tenant, account string, id []byte) (added bool, err error) {
	if account == "" {
		return false, nil
	}
	key, swept := recordKey("account", tenant, account), false
	for range maxSwaps {
		var list []entry
		was, err := s.load(ctx, key, &list)
		if err != nil {
			return false, err
		}
		added = !slices.ContainsFunc(list, func(e entry) bool { return string(e.ID) == string(id) })
		if added {
			if len(list) >= MaxPerAccount && !swept {
				if list, err = s.sweep(ctx, tenant, account, list); err != nil {
					return false, err
				}
				swept = true
			}
			if len(list) >= MaxPerAccount {
				return false, ErrFull
			}
			list = append(list, entry{id, s.now().Unix()})
		}
		done, err := s.save(ctx, key, was, list, 2*s.keep)
		if err != nil || done {
			return added, err
		}
		swept = false
	}
	return false, errContended
}

// sweep drops entries whose credentials are over or somebody else's. Young ones stay: their credential may be about to come.
func (s *Credentials) sweep(ctx context.Context, tenant, account string, list []entry) ([]entry, error) {
	var out []entry
	for _, e := range list {
		c, _, err := s.credential(ctx, tenant, e.ID)
		switch {
		case errors.Is(err, ErrCredentialUnknown) || err == nil && c.Account != account:
			if s.now().Sub(time.Unix(e.At, 0)) > youngEntry {
				continue
			}
		case err != nil:
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// unlist takes a credential out of an account's list.
func (s *Credentials) unlist(ctx context.Context, tenant, account string, id []byte) error {
	if account == "" {
		return nil
	}
	key := recordKey("account", tenant, account)
	for range maxSwaps {
		var list []entry
		was, err := s.load(ctx, key, &list)
		if err != nil || was.IsZero() {
			return err
		}
		rest := slices.DeleteFunc(slices.Clone(list), func(e entry) bool { return string(e.ID) == string(id) })
		if len(rest) == len(list) {
			return nil
		}
		var done bool
		if len(rest) == 0 {
			done, err = s.records.Swap(ctx, key, was, nil, 0)
		} else {
			done, err = s.save(ctx, key, was, rest, 2*s.keep)
		}
		if err != nil || done {
			return err
		}
	}
	return errContended
}

// unlistForeign takes an entry back whose credential has become somebody else's. What fails here is swept later.
func (s *Credentials) unlistForeign(ctx context.Context, tenant, account string, id []byte) {
	if c, _, err := s.credential(ctx, tenant, id); err == nil && c.Account != account {
		_ = s.unlist(ctx, tenant, account, id)
	}
}
