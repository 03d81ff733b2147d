package risk_test

import (
	"os"
	"testing"
)

// The long runs of the properties: millions of cases, some minutes on one core and half an hour under
// the race detector. `make soak` runs them.

func soak(t *testing.T) {
	t.Helper()
	if os.Getenv("VESTIBULE_SOAK") != "1" {
		t.Skip("long: set VESTIBULE_SOAK=1")
	}
}

func TestSoakModel(t *testing.T) {
	soak(t)
	for name, shape := range modelShapes {
		t.Run(name, func(t *testing.T) { checkModel(t, shape, modelBudget{101, 5_000, 40}) })
	}
}

func TestSoakEarlyStop(t *testing.T) {
	soak(t)
	for name, shape := range modelStopShapes {
		t.Run(name, func(t *testing.T) { checkEarlyStop(t, shape, modelBudget{102, 6_000, 30}) })
	}
}

func TestSoakStopModel(t *testing.T) {
	soak(t)
	for _, name := range []string{"healthy", "errors", "staged"} {
		t.Run(name, func(t *testing.T) { checkStopModel(t, modelStopShapes[name], modelBudget{103, 5_000, 20}) })
	}
}

func TestSoakMonotone(t *testing.T) {
	soak(t)
	for name, errs := range map[string]float64{"healthy": 0, "errors": 0.6} {
		t.Run(name, func(t *testing.T) {
			checkMonotone(t, modelShape{errors: errs}, modelBudget{104, 6_000, 25}, engineAssess(t, 1))
		})
	}
}

func TestSoakForcedErrorNeverPays(t *testing.T) {
	soak(t)
	for name, calm := range map[string]bool{"anything given": false, "everything obtainable": true} {
		t.Run(name, func(t *testing.T) {
			checkForcedError(t, modelShape{errors: 0.4, calm: calm}, modelBudget{105, 8_000, 10}, engineAssess(t, 1))
		})
	}
}

func TestSoakDenyIsNeverOutvoted(t *testing.T) {
	soak(t)
	checkDeny(t, modelBudget{106, 20_000, 30})
}

func TestSoakChallengeRequiresSomething(t *testing.T) {
	soak(t)
	checkChallenge(t, modelBudget{107, 8_000, 40})
}

func TestSoakSecondFinisherIsRefused(t *testing.T) {
	soak(t)
	checkFinishers(t, modelBudget{108, 8_000, 20})
}

func TestSoakOrderAndTiming(t *testing.T) {
	soak(t)
	checkOrder(t, modelBudget{109, 5_000, 6})
}

func TestSoakConditions(t *testing.T) {
	soak(t)
	checkConditions(t, modelBudget{110, 6_000, 40})
}
