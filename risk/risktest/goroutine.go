package risktest

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"
)

// goroutineID is the number of the calling goroutine, from its own stack trace.
func goroutineID() uint64 {
	buf := make([]byte, 64)
	buf = buf[:runtime.Stack(buf, false)]
	fields := bytes.Fields(bytes.TrimPrefix(buf, []byte("goroutine ")))
	id, _ := strconv.ParseUint(string(fields[0]), 10, 64)
	return id
}

// blockedStates are how a stack trace calls a goroutine that waits for somebody else.
var blockedStates = []string{"sleep", "chan receive", "chan send", "select", "IO wait", "sync.WaitGroup.Wait",
	"sync.Cond.Wait", "syscall"}

// blockedIn returns what goroutine id waits for, or "".
func blockedIn(id uint64) string {
	buf := make([]byte, 1<<18)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) || len(buf) >= 1<<24 {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	head := fmt.Appendf(nil, "goroutine %d [", id)
	at := 0
	if !bytes.HasPrefix(buf, head) {
		if at = bytes.Index(buf, append([]byte("\n"), head...)); at < 0 {
			return ""
		}
		at++
	}
	state, _, _ := strings.Cut(string(buf[at+len(head):min(len(buf), at+len(head)+80)]), "]")
	state, _, _ = strings.Cut(state, ",")
	for _, b := range blockedStates {
		if strings.HasPrefix(state, b) {
			return state
		}
	}
	return ""
}

const leakLabel = "vestibule-risktest"

// labelled runs f such that goroutines it starts, and those they start, are counted by countLabelled.
func labelled(id string, f func()) {
	pprof.Do(context.Background(), pprof.Labels(leakLabel, id), func(context.Context) { f() })
}

// countLabelled counts the living goroutines that were started within labelled.
func countLabelled(id string) int {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		return 0
	}
	want := fmt.Sprintf("%q:%q", leakLabel, id)
	count, last := 0, 0
	for line := range strings.Lines(b.String()) {
		if n, rest, ok := strings.Cut(line, " @"); ok && rest != "" {
			last, _ = strconv.Atoi(n)
		}
		if strings.HasPrefix(line, "# labels:") && strings.Contains(line, want) {
			count += last
		}
	}
	return count
}

// settledCount is countLabelled once it has fallen to most, or after half a second.
func settledCount(id string, most int) int {
	count := 0
	for end := time.Now().Add(500 * time.Millisecond); ; {
		if count = countLabelled(id); count <= most || time.Now().After(end) {
			return count
		}
		time.Sleep(2 * time.Millisecond)
	}
}
