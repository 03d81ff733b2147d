package passkey_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/passkey"
)

// failing stores: an error is an error, never a refusal.
type failing struct {
	passkey.CredentialStore
	fail map[string]bool
}

func (f *failing) List(ctx context.Context, tenant, account string) ([]passkey.Credential, error) {
	if f.fail["list"] {
		return nil, errDown
	}
	return f.CredentialStore.List(ctx, tenant, account)
}

func (f *failing) Create(ctx context.Context, c passkey.Credential) error {
	if f.fail["create"] {
		return errDown
	}
	return f.CredentialStore.Create(ctx, c)
}

func (f *failing) Get(ctx context.Context, tenant string, id []byte) (passkey.Credential, error) {
	if f.fail["get"] {
		return passkey.Credential{}, errDown
	}
	return f.CredentialStore.Get(ctx, tenant, id)
}

func (f *failing) Use(ctx context.Context, tenant string, id []byte, u passkey.Use) (bool, error) {
	if f.fail["use"] {
		return false, errDown
	}
	return f.CredentialStore.Use(ctx, tenant, id, u)
}

func TestStoreDown(t *testing.T) {
	for _, what := range []string{"list", "create", "get", "use"} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			store := &failing{r.store, map[string]bool{}}
			v, err := passkey.New(site, r.challenges, store, &passkey.Options{Trust: r.mds, Now: r.clock})
			require.NoError(t, err)
			r.v = v
			a := r.key()
			requirePassed(t, r.register(a, nil))
			creation, request := r.create(a, scope, nil), r.get(a, scope, nil)
			store.fail[what] = true
			ctx := context.Background()
			errs := map[string]func() error{
				"list":   func() error { _, err := v.BeginLogin(ctx, scope); return err },
				"create": func() error { _, err := v.FinishRegistration(ctx, scope, creation); return err },
				"get":    func() error { _, err := v.FinishLogin(ctx, scope, request); return err },
				"use":    func() error { _, err := v.FinishLogin(ctx, scope, request); return err },
			}
			require.ErrorIs(t, errs[what](), errDown)
		})
	}
	r := newRig(t)
	store, err := attest.NewMemoryChallenges(&attest.MemoryOptions{Max: 1})
	require.NoError(t, err)
	challenges, err := attest.NewChallenges(store, nil)
	require.NoError(t, err)
	v, err := passkey.New(site, challenges, r.store, nil)
	require.NoError(t, err)
	_, err = v.BeginLogin(context.Background(), scope)
	require.NoError(t, err)
	_, err = v.BeginLogin(context.Background(), scope)
	require.ErrorIs(t, err, attest.ErrFull)
}
