package phonetest

import (
	"context"
	"fmt"
	"sync"

	"github.com/vestibule-go/vestibule/phone"
)

// Inbox is a sender that keeps messages for tests to read. It keeps the latest 10,000. It is safe for concurrent use.
type Inbox struct {
	mu       sync.Mutex
	messages []phone.Message // guarded by mu, as is err
	err      error
	sent     int
}

var _ phone.Sender = (*Inbox)(nil)

// NewInbox makes an empty inbox.
func NewInbox() *Inbox { return &Inbox{} }

// Send implements [phone.Sender].
func (b *Inbox) Send(ctx context.Context, m phone.Message) (phone.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return phone.Receipt{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sent++
	if b.err != nil {
		return phone.Receipt{}, b.err
	}
	b.put(m)
	return phone.Receipt{Ref: fmt.Sprintf("inbox-%d", b.sent)}, nil
}

// add puts a message in.
func (b *Inbox) add(m phone.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.put(m)
}

func (b *Inbox) put(m phone.Message) {
	const most = 10_000
	if len(b.messages) == most {
		b.messages = b.messages[1:]
	}
	b.messages = append(b.messages, m)
}

// Fail makes Send fail from now on; nil ends that.
func (b *Inbox) Fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

// Messages are what came in, oldest first.
func (b *Inbox) Messages() []phone.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]phone.Message(nil), b.messages...)
}

// Code is the latest code that came in for a number.
func (b *Inbox) Code(n phone.Number) (phone.Code, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.messages) - 1; i >= 0; i-- {
		if b.messages[i].To == n {
			return b.messages[i].Code, true
		}
	}
	return "", false
}
