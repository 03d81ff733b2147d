package passkey_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vestibule-go/vestibule/attest"
	"github.com/vestibule-go/vestibule/attest/attesttest"
	"github.com/vestibule-go/vestibule/attest/passkey"
)

const origin = "https://example.com"

var (
	site  = passkey.RelyingParty{ID: "example.com", Name: "Example", Origins: []string{origin}}
	scope = passkey.Scope{Tenant: "t1", Session: "s-42", Account: "ann"}
)

// rig is a site with its stores, a virtual FIDO Alliance, and a clock that starts today: go-webauthn reads the machine's.
type rig struct {
	t          testing.TB
	fido       *attesttest.FIDO
	model      *attesttest.FIDOModel
	models     []*attesttest.FIDOModel
	mds        *passkey.MDS
	number     int
	store      *passkey.Memory
	challenges *attest.Challenges
	v          *passkey.Verifier

	mu  sync.Mutex
	now time.Time // guarded by mu
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) advance(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

func newRig(t testing.TB, change ...func(o *passkey.Options)) *rig {
	r := &rig{t: t, now: time.Now()}
	r.fido = attesttest.NewFIDO(r.clock)
	r.model = r.fido.NewModel("Certified key", "FIDO_CERTIFIED_L2")
	r.models = []*attesttest.FIDOModel{r.model}
	var err error
	r.mds, err = passkey.NewMDS(&passkey.MDSOptions{Roots: r.fido.Roots(), Now: r.clock})
	require.NoError(t, err)
	r.publish()
	store, err := attest.NewMemoryChallenges(&attest.MemoryOptions{Now: r.clock})
	require.NoError(t, err)
	r.challenges, err = attest.NewChallenges(store, &attest.ChallengeOptions{Now: r.clock})
	require.NoError(t, err)
	r.store, err = passkey.NewMemory(&passkey.MemoryOptions{Now: r.clock})
	require.NoError(t, err)
	o := &passkey.Options{Trust: r.mds, Now: r.clock}
	for _, f := range change {
		f(o)
	}
	r.v, err = passkey.New(site, r.challenges, r.store, o)
	require.NoError(t, err)
	return r
}

// publish signs the next BLOB and loads it.
func (r *rig) publish() {
	r.t.Helper()
	r.number++
	require.NoError(r.t, r.mds.Load(r.fido.BLOB(r.number, r.clock().Add(30*24*time.Hour), r.models, nil)))
}

func public(t testing.TB, task *passkey.Task) []byte {
	t.Helper()
	raw, err := json.Marshal(task.PublicKey)
	require.NoError(t, err)
	return raw
}

// create begins a registration and answers it.
func (r *rig) create(a *attesttest.Authenticator, s passkey.Scope, f *attesttest.FIDOForge) []byte {
	r.t.Helper()
	task, err := r.v.BeginRegistration(context.Background(), s, passkey.User{Name: "ann@example.com"})
	require.NoError(r.t, err)
	body, err := a.Create(origin, public(r.t, task), f)
	require.NoError(r.t, err)
	return body
}

func (r *rig) finish(s passkey.Scope, body []byte) *passkey.Result {
	r.t.Helper()
	res, err := r.v.FinishRegistration(context.Background(), s, body)
	require.NoError(r.t, err)
	return res
}

func (r *rig) register(a *attesttest.Authenticator, f *attesttest.FIDOForge) *passkey.Result {
	r.t.Helper()
	return r.finish(scope, r.create(a, scope, f))
}

// get begins a login and answers it.
func (r *rig) get(a *attesttest.Authenticator, s passkey.Scope, f *attesttest.FIDOForge) []byte {
	r.t.Helper()
	task, err := r.v.BeginLogin(context.Background(), s)
	require.NoError(r.t, err)
	body, err := a.Get(origin, public(r.t, task), f)
	require.NoError(r.t, err)
	return body
}

func (r *rig) login(a *attesttest.Authenticator, f *attesttest.FIDOForge) *passkey.Result {
	r.t.Helper()
	res, err := r.v.FinishLogin(context.Background(), scope, r.get(a, scope, f))
	require.NoError(r.t, err)
	return res
}

func (r *rig) key() *attesttest.Authenticator { return r.fido.SecurityKey(r.model) }

func requirePassed(t testing.TB, r *passkey.Result) {
	t.Helper()
	require.True(t, r.Passed(), "%v: %v", r.Verdict.Outcome, r.Verdict.Reasons)
	require.NotNil(t, r.Credential)
}

func requireRefused(t testing.TB, r *passkey.Result, out attest.Outcome, step string) {
	t.Helper()
	require.False(t, r.Passed())
	require.Nil(t, r.Credential)
	require.Equal(t, step, r.Verdict.Step())
	require.Equal(t, out, r.Verdict.Outcome)
	require.Equal(t, attest.None, r.Verdict.Strength())
}

// with makes a forge that sets a member of the client data.
func with(name string, value any) *attesttest.FIDOForge {
	return &attesttest.FIDOForge{ClientData: func(d map[string]any) {
		if value == nil {
			delete(d, name)
			return
		}
		d[name] = value
	}}
}

// flags makes a forge that sets and clears flags before signing.
func flags(set, clear byte) *attesttest.FIDOForge {
	return &attesttest.FIDOForge{AuthData: func(d []byte) []byte {
		d[32] = d[32]&^clear | set
		return d
	}}
}

func answer(f func(map[string]any)) *attesttest.FIDOForge {
	return &attesttest.FIDOForge{Response: f}
}

var errDown = errors.New("down")
