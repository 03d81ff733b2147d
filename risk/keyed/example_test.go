package keyed_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/vestibule-go/vestibule/risk/keyed"
)

func Example() {
	// In production secrets come from a secret store and stay the same; keyed.NewSecret makes them.
	old := keyed.Secret("an old secret of 32 bytes, or so")
	ring, err := keyed.New([]keyed.Key{{ID: "2026a", Secret: old}}, nil)
	if err != nil {
		panic(err)
	}
	const device keyed.Purpose = "fingerprint.device"
	may := time.Date(2026, 5, 10, 12, 0, 0, 0, time.UTC)
	store := map[string]string{ring.Tag(device, "acme", "device token", may): "first seen in May"}

	// A rotation: the new key first.
	ring, err = keyed.New([]keyed.Key{{ID: "2026b", Secret: keyed.NewSecret()}, {ID: "2026a", Secret: old}}, nil)
	if err != nil {
		panic(err)
	}
	june := may.AddDate(0, 0, 25)
	tags := ring.Tags(device, "acme", "device token", june)
	for _, tag := range tags {
		record, ok := store[tag]
		if !ok {
			continue
		}
		fmt.Println(record, ring.Current(tag, june))
		delete(store, tag)
		store[tags[0]] = record // found under an older tag: keep it under the current one
	}
	id, _, _ := strings.Cut(tags[0], ".")
	fmt.Println("now under key", id)
	// Output:
	// first seen in May false
	// now under key 2026b
}

func ExampleRing_AppendSums() {
	ring, err := keyed.New([]keyed.Key{{ID: "a", Secret: keyed.NewSecret()}}, &keyed.Options{Epoch: 7 * 24 * time.Hour})
	if err != nil {
		panic(err)
	}
	at := time.Date(2026, 5, 10, 12, 0, 0, 0, time.UTC)
	seen := map[keyed.Sum]int{ring.Sum("fingerprint.ip", "acme", "192.0.2.1", at.AddDate(0, 0, -5)): 3}

	sums := make([]keyed.Sum, 0, ring.Lookups())
	for _, sum := range ring.AppendSums(sums, "fingerprint.ip", "acme", "192.0.2.1", at) {
		if n, ok := seen[sum]; ok {
			fmt.Println("seen", n, "times")
		}
	}
	// Output: seen 3 times
}

func ExampleParseTag() {
	ring, err := keyed.New([]keyed.Key{{ID: "a", Secret: keyed.NewSecret()}}, &keyed.Options{Epoch: keyed.NoEpochs})
	if err != nil {
		panic(err)
	}
	tag, err := keyed.ParseTag(ring.Tag("risk.session", "", "session cookie", time.Time{}))
	fmt.Println(tag.Key, tag.Epochs, err)
	_, err = keyed.ParseTag("something else")
	fmt.Println(err)
	// Output:
	// a false <nil>
	// keyed: not a tag
}

func ExampleRing_Matches() {
	ring, err := keyed.New([]keyed.Key{{ID: "a", Secret: keyed.NewSecret()}}, nil)
	if err != nil {
		panic(err)
	}
	at := time.Date(2026, 5, 10, 12, 0, 0, 0, time.UTC)
	tag := ring.Tag("risk.session", "acme", "session cookie", at) // given out, comes back from outside
	fmt.Println(ring.Matches(tag, "risk.session", "acme", "session cookie", at.AddDate(0, 0, 30)))
	fmt.Println(ring.Matches(tag, "risk.session", "acme", "somebody else's", at))
	fmt.Println(ring.KeyID(), ring.Epoch(), ring)
	// Output:
	// true
	// false
	// a 720h0m0s keyed.Ring(1 keys, current a, epoch 720h0m0s)
}

func ExampleRing_AppendTag() {
	ring, err := keyed.New([]keyed.Key{{ID: "a", Secret: keyed.NewSecret()}}, nil)
	if err != nil {
		panic(err)
	}
	buf := make([]byte, 0, 64)
	buf = append(buf, "vestibule:seen:"...)
	buf = ring.AppendTag(buf, "fingerprint.seen", "acme", "device token", time.Time{})
	fmt.Println(len(buf) <= 15+keyed.MaxTagLen, string(buf[:17]))
	// Output: true vestibule:seen:a.
}

func ExampleRing_SumBytes() {
	ring, err := keyed.New([]keyed.Key{{ID: "a", Secret: keyed.NewSecret()}}, nil)
	if err != nil {
		panic(err)
	}
	at := time.Date(2026, 5, 10, 12, 0, 0, 0, time.UTC)
	sum := ring.SumBytes("ratelimit.ip", "", []byte{192, 0, 2, 1}, at)
	full := ring.Sum256("ratelimit.ip", "", "\xc0\x00\x02\x01", at)
	fmt.Println(sum == keyed.Sum(full[:16]), len(sum.String()))
	// Output: true 22
}
