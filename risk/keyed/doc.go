// Package keyed turns personal and secret texts (addresses, phone numbers, device tokens, sessions) into tags that can
// be stored, logged and compared, and that nobody without the key can turn back or even try guesses against.
//
// A [Ring] holds one or more secret keys. The first one makes new tags; the others keep tags found that were made before
// a rotation. A tag is bound to a [Purpose], to a tenant, to the id of its key and to a salt epoch, so that the same
// value has unrelated tags in two tenants, for two uses, and in two months.
//
//	ring, err := keyed.New([]keyed.Key{
//		{ID: "b", Secret: newer}, // makes new tags
//		{ID: "a", Secret: older}, // still found
//	}, nil)
//	...
//	const seen keyed.Purpose = "fingerprint.seen"
//	store.Put(ring.Tag(seen, tenant, deviceToken, now), record)
//	...
//	for _, tag := range ring.Tags(seen, tenant, deviceToken, now) { // current first
//		if record, ok := store.Get(tag); ok {
//			...
//		}
//	}
//
// Stores that hold millions of keys take the raw form ([Ring.Sum], [Ring.AppendSums]): 16 bytes and no allocation.
//
// # Derivation
//
// All steps are HMAC-SHA-256 (RFC 2104, FIPS 198-1); lp(x) is the length of x in eight bytes, big-endian, and then x;
// n(x) is x in eight bytes, big-endian:
//
//	salt   = HMAC(secret, lp("vestibule/keyed/v1") lp(key id) n(epoch length in ns) n(epoch))
//	subkey = HMAC(salt, lp(purpose) lp(tenant))
//	sum    = HMAC(subkey, value)
//
// Epoch is the number of whole epoch lengths since 1970-01-01 UTC; without epochs both numbers are zero. The text form
// is "id.epoch.sum", or "id.sum" without epochs: the epoch in base 36, the first 128 bits of the sum in unpadded
// base64url. It never exceeds [MaxTagLen] bytes and holds letters, digits, '-', '_' and '.' only, so it fits store keys
// of any kind.
//
// # Cost
//
// The hash states of recent sub-keys are kept, so a tag of a short value is two blocks of SHA-256: BenchmarkSum measures
// about 0.3 us and no allocation where hmac.New with a ready key takes 0.7 us and seven. The first tag of a (purpose,
// tenant, key, epoch), and any one beyond the 1024 that are kept, derives its sub-key first: about 2.5 us more.
//
// # Rotation
//
// Put the new key first and keep the old one behind it for as long as what it tagged is kept. Salt epochs need no such
// care: current and previous are looked up, older ones are not. Let records live no longer than one epoch length, or
// write them again under the current tag when they are found under another one ([Ring.Current] tells).
//
// # Security considerations
//
// A tag is a pseudonym, not anonymous data: whoever holds the key can test guesses, and the values behind most tags
// (IPv4 addresses, phone numbers) can be enumerated. Keep keys apart from the store they protect. Removing a key from
// every ring and destroying it makes all its tags meaningless; epoch salts are derived from the key, so an epoch
// cannot be erased alone.
//
// The end of an epoch changes every tag. A counter kept under a tag starts again then unless its owner reads the
// previous tag too; a counter that must not be reset by the calendar takes a ring without epochs ([NoEpochs]).
//
// An empty value has a tag like any other: callers who mean "not known" must not ask for one, or all unknown visitors
// become one visitor. Values are tagged as they come: bring them to canonical form first.
//
// The package does not encrypt, and its tags are no proof of anything towards third parties.
package keyed
