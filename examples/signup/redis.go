package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attestredis"
	"github.com/vestibule-go/vestibule/attest/passkey"
	"github.com/vestibule-go/vestibule/captcha"
	"github.com/vestibule-go/vestibule/captcha/captcharedis"
	"github.com/vestibule-go/vestibule/fingerprint"
	"github.com/vestibule-go/vestibule/fingerprint/fingerprintredis"
	"github.com/vestibule-go/vestibule/phone/phoneredis"
	"github.com/vestibule-go/vestibule/ratelimit"
	"github.com/vestibule-go/vestibule/ratelimit/ratelimitredis"
	"github.com/vestibule-go/vestibule/risk"
	"github.com/vestibule-go/vestibule/risk/keyed"
	"github.com/vestibule-go/vestibule/risk/riskredis"
)

// shared is what instances keep together on one Redis, so that a visitor may meet another one at every step. nil: this
// process keeps everything by itself.
type shared struct {
	limits     ratelimit.Store
	flows      risk.FlowStore
	guard      captcha.ReplayGuard
	sightings  fingerprint.Store
	phones     *phoneredis.Store
	challenges attest.ChallengeStore
	passkeys   passkey.CredentialStore
	secret     []byte
	client     *redis.Client
}

// patience is how long Redis may take to answer. It takes less than a millisecond, but a laptop that does other things may
// pause; services leave the stores' own defaults.
const patience = 500 * time.Millisecond

// openShared connects to the Redis at addr. The first instance leaves a secret there for the others: enough to try it
// out. A real service takes it from where it keeps its secrets, and its Redis has a password and TLS.
func openShared(ctx context.Context, addr string, log *slog.Logger) (s *shared, err error) {
	client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
	defer func() {
		if err != nil {
			err = errors.Join(err, client.Close())
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	const name = "vestibule-signup-secret"
	if err := client.SetNX(ctx, name, []byte(keyed.NewSecret()), 0).Err(); err != nil {
		return nil, fmt.Errorf("Redis at %s: %w", addr, err)
	}
	s = &shared{client: client}
	if s.secret, err = client.Get(ctx, name).Bytes(); err != nil {
		return nil, fmt.Errorf("Redis at %s: %w", addr, err)
	}
	s.limits, err = ratelimitredis.New(client, s.key("limits"), &ratelimitredis.Options{
		Instances: 2,
		Timeout:   patience,
		Hooks: &ratelimitredis.Hooks{
			Down: func(cause error) { log.Error("Redis is away: limits are this instance's own", "cause", cause) },
			Up:   func(after time.Duration) { log.Info("Redis is back", "after", after) },
		},
	})
	if err != nil {
		return nil, err
	}
	if s.flows, err = riskredis.NewFlows(client, nil); err != nil {
		return nil, err
	}
	if s.guard, err = captcharedis.New(client, &captcharedis.Options{Timeout: patience}); err != nil {
		return nil, err
	}
	if s.sightings, err = fingerprintredis.New(client, &fingerprintredis.Options{Timeout: patience}); err != nil {
		return nil, err
	}
	if s.phones, err = phoneredis.New(client, nil); err != nil {
		return nil, err
	}
	kept, err := attestredis.New(client, &attestredis.Options{Timeout: patience})
	if err != nil {
		return nil, err
	}
	s.challenges = kept.Challenges()
	if s.passkeys, err = passkey.NewCredentials(kept.Records(), nil); err != nil {
		return nil, err
	}
	return s, nil
}

// key makes one of the keys that all instances need alike. Without others it is this process's own.
func (s *shared) key(purpose string) []byte {
	if s == nil {
		return keyed.NewSecret()
	}
	mac := hmac.New(sha256.New, s.secret)
	mac.Write([]byte(purpose))
	return mac.Sum(nil)
}
