// Package risktest helps to test what is built on package risk: signals, policies, handlers, sinks and flow stores.
//
//   - Signals that always behave in one way, well or badly: [Fixed], [Failing], [Hanging], [Deaf], [Panicking],
//     [Goexiting], [Slow], [Late], [Lying], and one that proves what it is told to, [NewProver].
//   - [Engine] makes a real engine with a fixed answer, for tests of handlers.
//   - [Attempt] presets what a signal is told beside the attempt, and [Evaluate] asks one signal alone, as the engine would.
//   - [Conform] checks anybody's signal against the contract of [risk.Signal], [FlowStoreConform] anybody's store
//     against that of [risk.FlowStore].
//   - [Recorder] keeps decisions, and [Canary] finds personal data where it must not be.
//
// A test of a signal of one's own:
//
//	func TestSignal(t *testing.T) {
//		a := &risk.Attempt{Event: risk.SignUp, Email: "a@example.com"}
//		require.NoError(t, risktest.Conform(mine.NewSignal(fake), a))
//
//		said, err := risktest.Evaluate(mine.NewSignal(fake), risktest.Attempt(a, &risktest.AttemptOptions{
//			Asked: []risk.Proof{risk.ProofEmail},
//		}))
//		require.NoError(t, err)
//		require.Contains(t, said.Codes, "absent")
//	}
//
// A test of a handler that must cope with a challenge:
//
//	engine := risktest.Engine(risk.Challenge, risk.ProofHuman)
//	handler := newHandler(engine)
//	...
//	risk.Attach(attempt, risktest.Given{risk.ProofHuman}) // the next Assess of the flow allows
//
// # Security considerations
//
// The package is for tests. Its signals hang, lie and panic on purpose, [Given] proves anything it is told to, and
// [Recorder] keeps personal data in clear: none of it belongs into a program that serves visitors. A canary knows the
// values it was given; it cannot find what was transformed beyond the forms that [Canary] lists, such as a value that
// was encrypted or cut to a part.
package risktest
