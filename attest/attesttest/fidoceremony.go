package attesttest

import (
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
)

// FIDOForge changes a ceremony as it is made, before signing but for the last three. The zero value and nil change nothing.
type FIDOForge struct {
	ClientData func(map[string]any)
	// ClientText changes the client data's JSON.
	ClientText func([]byte) []byte
	AuthData   func([]byte) []byte
	Statement  func(map[string]any)
	Object     func(map[string]any)
	Encoded    func([]byte) []byte // of the attestation object
	Response   func(map[string]any)
}

type fidoOptions struct {
	Challenge string `json:"challenge"`
	RPID      string `json:"rpId"`
	RP        struct {
		ID string `json:"id"`
	} `json:"rp"`
	User struct {
		ID string `json:"id"`
	} `json:"user"`
	Allow []struct {
		ID string `json:"id"`
	} `json:"allowCredentials"`
	Attestation string `json:"attestation"`
}

func fidoClient(kind, challenge, origin string, f *FIDOForge) []byte {
	data := map[string]any{"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": false}
	if f.ClientData != nil {
		f.ClientData(data)
	}
	raw, err := json.Marshal(data)
	must(err)
	if f.ClientText != nil {
		raw = f.ClientText(raw)
	}
	return raw
}

func (a *Authenticator) head(rpID string, flags byte) []byte {
	a.counter += a.Step
	sum := sha256.Sum256([]byte(rpID))
	return binary.BigEndian.AppendUint32(append(sum[:], flags), a.counter)
}

// Create answers navigator.credentials.create() on a page of the origin: options is the task's publicKey in JSON, the
// result PublicKeyCredential.toJSON().
func (a *Authenticator) Create(origin string, options []byte, f *FIDOForge) ([]byte, error) {
	if f == nil {
		f = &FIDOForge{}
	}
	var o fidoOptions
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, err
	}
	handle, err := base64.RawURLEncoding.DecodeString(o.User.ID)
	if err != nil {
		return nil, err
	}
	k := &fidoKey{id: make([]byte, 32), handle: handle, key: newKey(elliptic.P256())}
	_, _ = rand.Read(k.id)
	a.mu.Lock()
	defer a.mu.Unlock()
	client := fidoClient("webauthn.create", o.Challenge, origin, f)
	hash := sha256.Sum256(client)
	if a.Format == "android-key" {
		made := a.Android.Attest(hash[:], a.AndroidForge)
		k.key, k.chain = made.Key, made.Chain
	}
	data := append(a.head(o.RP.ID, a.Flags|FlagAT), a.AAGUID[:]...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(k.id)))
	data = append(append(data, k.id...), COSE(&k.key.PublicKey)...)
	if f.AuthData != nil {
		data = f.AuthData(data)
	}
	format, statement := a.statement(k, data, hash[:])
	if o.Attestation == "none" {
		format, statement = "none", map[string]any{}
	}
	if f.Statement != nil {
		f.Statement(statement)
	}
	object := map[string]any{"fmt": format, "attStmt": statement, "authData": data}
	if f.Object != nil {
		f.Object(object)
	}
	raw := CBOR(object)
	if f.Encoded != nil {
		raw = f.Encoded(raw)
	}
	if a.keys == nil {
		a.keys = map[string]*fidoKey{}
	}
	a.keys[string(k.id)] = k
	return fidoAnswer(k.id, map[string]any{"clientDataJSON": fidoB64(client), "attestationObject": fidoB64(raw), "transports": a.Transports}, f), nil
}

// Get answers navigator.credentials.get() with the first of the credentials allowed that it has, or, where none are named,
// with any one it has.
func (a *Authenticator) Get(origin string, options []byte, f *FIDOForge) ([]byte, error) {
	if f == nil {
		f = &FIDOForge{}
	}
	var o fidoOptions
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var k *fidoKey
	for _, d := range o.Allow {
		id, err := base64.RawURLEncoding.DecodeString(d.ID)
		if err != nil {
			return nil, err
		}
		if k = a.keys[string(id)]; k != nil {
			break
		}
	}
	if len(o.Allow) == 0 {
		for _, k = range a.keys {
			break
		}
	}
	if k == nil {
		return nil, errors.New("attesttest: the authenticator has none of the credentials")
	}
	client := fidoClient("webauthn.get", o.Challenge, origin, f)
	data := a.head(o.RPID, a.Flags)
	if f.AuthData != nil {
		data = f.AuthData(data)
	}
	hash := sha256.Sum256(client)
	return fidoAnswer(k.id, map[string]any{
		"clientDataJSON": fidoB64(client), "authenticatorData": fidoB64(data), "signature": fidoB64(fidoSign(k.key, data, hash[:])), "userHandle": fidoB64(k.handle),
	}, f), nil
}

func fidoAnswer(id []byte, response map[string]any, f *FIDOForge) []byte {
	out := map[string]any{
		"id": fidoB64(id), "rawId": fidoB64(id), "type": "public-key", "response": response, "clientExtensionResults": map[string]any{},
	}
	if f.Response != nil {
		f.Response(out)
	}
	raw, err := json.Marshal(out)
	must(err)
	return raw
}

func fidoB64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }
