package redistest

import (
	"os/exec"
	"syscall"
)

// tie has the kernel kill the child when this process ends, even by a signal.
func tie(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
