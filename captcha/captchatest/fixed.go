package captchatest

import (
	"context"
	"slices"
	"sync"

	"github.com/vestibule-go/vestibule/captcha"
)

// Fixed is a provider with one answer to everything. Make it with [Pass], [Fail], [Unverified] or [Erring], or fill it
// in. It records what it was asked. Its fields must not be changed once it is in use; its methods are safe for
// concurrent use.
type Fixed struct {
	// Called is its name; default "fixed".
	Called string
	// Result and Err are what Verify returns; the result's Provider is filled in.
	Result captcha.Result
	Err    error
	// Task and TaskErr are what Challenge returns; the task's Provider is filled in.
	Task    captcha.Task
	TaskErr error
	// Networked makes Offline false.
	Networked bool

	mu       sync.Mutex
	verified []captcha.Request          // guarded by mu
	asked    []captcha.ChallengeRequest // guarded by mu
}

var (
	_ captcha.Provider   = (*Fixed)(nil)
	_ captcha.Challenger = (*Fixed)(nil)
	_ captcha.Offline    = (*Fixed)(nil)
)

// Pass makes a provider that accepts every answer.
func Pass() *Fixed {
	return &Fixed{Result: captcha.Result{Outcome: captcha.Passed, Reason: captcha.ReasonOK}}
}

// Fail makes a provider that refuses every answer.
func Fail(why captcha.Reason, fault captcha.Fault) *Fixed {
	return &Fixed{Result: captcha.Result{Outcome: captcha.Failed, Reason: why, Fault: fault}}
}

// Unverified makes a provider that reports, without an error, that it found nothing out.
func Unverified() *Fixed { return &Fixed{} }

// Erring makes a provider that fails with err.
func Erring(err error) *Fixed { return &Fixed{Err: err, TaskErr: err} }

// Name implements captcha.Provider.
func (f *Fixed) Name() string {
	if f.Called == "" {
		return "fixed"
	}
	return f.Called
}

// Offline implements captcha.Offline.
func (f *Fixed) Offline() bool { return !f.Networked }

// Verify implements captcha.Provider.
func (f *Fixed) Verify(_ context.Context, in captcha.Request) (captcha.Result, error) {
	f.mu.Lock()
	f.verified = append(f.verified, in)
	f.mu.Unlock()
	res := f.Result
	res.Provider = f.Name()
	return res, f.Err
}

// Challenge implements captcha.Challenger.
func (f *Fixed) Challenge(_ context.Context, r captcha.ChallengeRequest) (captcha.Task, error) {
	f.mu.Lock()
	f.asked = append(f.asked, r)
	f.mu.Unlock()
	task := f.Task
	task.Provider = f.Name()
	return task, f.TaskErr
}

// Verified returns the requests seen so far.
func (f *Fixed) Verified() []captcha.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.verified)
}

// Asked returns the requests for tasks seen so far.
func (f *Fixed) Asked() []captcha.ChallengeRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}
