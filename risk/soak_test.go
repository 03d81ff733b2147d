package risk_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
)

var tempMendThen = os.Getenv("MEND_THEN") != ""
var tempMendProofs = os.Getenv("MEND_PROOFS") != ""
var tempMendGate = os.Getenv("MEND_GATE") != ""
var tempAsIs = os.Getenv("ASIS") != ""

func soakN() int { n, _ := strconv.Atoi(os.Getenv("N")); return n }

func TestSoakModelEqualsEngine(t *testing.T) {
	if soakN() == 0 {
		t.Skip()
	}
	for name, shape := range modelShapes {
		t.Run(name, func(t *testing.T) { checkModel(t, shape, 2, soakN()) })
	}
}

func TestSoakStopModel(t *testing.T) {
	if soakN() == 0 {
		t.Skip()
	}
	found, what := checkStopModel(modelShape{errors: 0.6}, 6, soakN(), faultNone)
	t.Log(found, what)
}
func TestSoakStop(t *testing.T) {
	if soakN() == 0 {
		t.Skip()
	}
	for name, shape := range modelStopShapes {
		t.Run(name, func(t *testing.T) { checkEarlyStop(t, shape, 7, soakN()) })
	}
}

func TestSoakMono(t *testing.T) {
	if soakN() == 0 {
		t.Skip()
	}
	for _, errs := range []float64{0, 0.6} {
		checkMonotone(t, modelShape{errors: errs, calm: true}, 8, soakN(), func(w *modelWorld) modelAssess {
			return func(s *modelScript) (modelShort, []string) { return w.staged(s, false, faultNone) }
		})
	}
}
func TestSoakMonoEngine(t *testing.T) {
	if soakN() == 0 {
		t.Skip()
	}
	for _, errs := range []float64{0, 0.6} {
		t.Run(fmt.Sprint(errs), func(t *testing.T) {
			checkMonotone(t, modelShape{errors: errs, calm: true}, 8, soakN(), engineAssess(t, 1))
		})
	}
}
