package captcha_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/captcha"
)

// words maps the vectors' vocabulary onto ours where it differs; all else must be equal.
var words = map[string][]captcha.Reason{
	"binding_mismatch": {captcha.ReasonAction, captcha.ReasonSession, captcha.ReasonFlow, captcha.ReasonData},
	"action_mismatch":  {captcha.ReasonAction, captcha.ReasonData},
	"session_mismatch": {captcha.ReasonSession, captcha.ReasonData},
	"cost_too_low":     {captcha.ReasonWork},
	"too_weak":         {captcha.ReasonWork},
}

// oneOf decodes a value or a list of values that are all right.
type oneOf[T any] []T

func (o *oneOf[T]) UnmarshalJSON(b []byte) error {
	var many []T
	if json.Unmarshal(b, &many) == nil {
		*o = many
		return nil
	}
	var one T
	if err := json.Unmarshal(b, &one); err != nil {
		return err
	}
	*o = []T{one}
	return nil
}

type vectorExpect struct {
	Accept        oneOf[bool]   `json:"accept"`
	AcceptedCount *int          `json:"accepted_count"`
	Reason        oneOf[string] `json:"reason"`
}

type vectorGiven struct {
	Action  string `json:"expect_action"`
	Session string `json:"expect_session"`
	MinCost int    `json:"min_cost"`
}

type vectorCase struct {
	ID         string          `json:"id"`
	Optional   json.RawMessage `json:"optional"`
	Given      vectorGiven     `json:"given"`
	Now        int64           `json:"now"`
	KeySecret  string          `json:"key_secret"`
	Payload    string          `json:"payload_b64"`
	Concurrent int             `json:"concurrent"`
	Expect     vectorExpect    `json:"expect"`
	Steps      []vectorCase    `json:"steps"`
}

type vectorFile struct {
	Secret    string          `json:"signature_secret"`
	HMACKey   string          `json:"hmac_key"`
	KeySecret string          `json:"key_secret"`
	Now       int64           `json:"now"`
	Optional  json.RawMessage `json:"optional"`
	Cases     []vectorCase    `json:"cases"`
	Sequences []vectorCase    `json:"sequences"`
}

func optional(raw json.RawMessage) bool {
	return len(raw) > 0 && string(raw) != "null" && string(raw) != "false"
}

func TestVectorsALTCHA(t *testing.T) {
	dir := os.Getenv("VESTIBULE_VECTORS")
	if dir == "" {
		t.Skip("VESTIBULE_VECTORS names no directory of vectors")
	}
	files, err := filepath.Glob(filepath.Join(dir, "captcha", "altcha_v*.json"))
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("no ALTCHA vectors in " + dir)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		require.NoError(t, err)
		var f vectorFile
		require.NoError(t, json.Unmarshal(raw, &f), name)
		file := filepath.Base(name)
		for _, c := range f.Cases {
			t.Run(file+"/"+c.ID, func(t *testing.T) { runVector(t, f, c, []vectorCase{c}) })
		}
		for _, c := range f.Sequences {
			t.Run(file+"/"+c.ID, func(t *testing.T) { runVector(t, f, c, c.Steps) })
		}
	}
}

func runVector(t *testing.T, f vectorFile, c vectorCase, steps []vectorCase) {
	key := captcha.Key{Secret: captcha.Secret(f.Secret), KeySecret: captcha.Secret(f.KeySecret)}
	if f.HMACKey != "" {
		key.Secret = captcha.Secret(f.HMACKey)
	}
	if c.KeySecret != "" {
		key.KeySecret = captcha.Secret(c.KeySecret)
	}
	wall := newClock()
	setClock := func(step vectorCase) {
		for _, now := range []int64{step.Now, c.Now, f.Now} {
			if now != 0 {
				wall.Advance(time.Unix(now, 0).Sub(wall.Now()))
				return
			}
		}
	}
	setClock(c)
	pow, err := captcha.NewPoW(captcha.Keys{Current: key}, newGuard(t, wall), &captcha.PoWOptions{
		Now: wall.Now, TTL: time.Hour, Skew: time.Hour, MinCost: max(c.Given.MinCost, 1), InsecurePlainHash: true,
	})
	require.NoError(t, err)
	for _, step := range steps {
		setClock(step)
		given := step.Given
		if given == (vectorGiven{}) {
			given = c.Given
		}
		in := captcha.Request{Token: step.Payload, Expect: captcha.Expect{Data: map[string]string{}}}
		if given.Action != "" {
			in.Expect.Data["action"] = given.Action
		}
		if given.Session != "" {
			in.Expect.Data["session"] = given.Session
		}
		results := make([]captcha.Result, max(step.Concurrent, 1))
		var wg sync.WaitGroup
		for i := range results {
			wg.Go(func() {
				res, err := pow.Verify(context.Background(), in)
				if err != nil {
					res.Codes = append(res.Codes, err.Error())
				}
				results[i] = res
			})
		}
		wg.Wait()
		accepted := 0
		for _, res := range results {
			require.Empty(t, res.Codes)
			if res.Outcome == captcha.Passed {
				accepted++
			}
		}
		if optional(f.Optional) || optional(c.Optional) && strings.Contains(string(results[0].Reason), "unsupported") {
			require.Zero(t, accepted, "what is not offered is refused")
			t.Skipf("not offered: %s%s", f.Optional, c.Optional)
		}
		if step.Expect.AcceptedCount != nil {
			require.Equal(t, *step.Expect.AcceptedCount, accepted)
			continue
		}
		require.Contains(t, step.Expect.Accept, accepted == 1)
		if len(step.Expect.Reason) > 0 {
			var right []captcha.Reason
			for _, w := range step.Expect.Reason {
				right = append(append(right, captcha.Reason(w)), words[w]...)
			}
			require.True(t, slices.Contains(right, results[0].Reason), "%s, want one of %v", results[0].Reason, right)
		}
	}
}
