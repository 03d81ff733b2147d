// Package fingerprint answers who is behind a request: whether this device, network, account, telephone number or
// business identifier was seen before, how often, and with what. It tells that fifty sign-ups are one machine, without
// keeping anything that identifies a person, and without holding it against people that they share an office, a carrier
// or a model of telephone.
//
//	devices, err := fingerprint.NewDevices(ring, mustAsk, nil) // signed device ids, reports, consent
//	mux.Handle("/device", devices.Handler())
//	mux.Handle("/device.js", fingerprint.Script())
//	guard, err := riskhttp.New(engine, &riskhttp.Options{Collectors: []riskhttp.Collector{ja4.Collector(nil), devices.Collect}})
//
//	store, err := fingerprint.NewMemory(nil) // or fingerprintredis.New
//	sightings, err := fingerprint.NewSightings(store, nil)
//	velocity, err := fingerprint.NewVelocity(sightings, nil) // signal "velocity": counts, as facts
//	device, err := fingerprint.NewSignal(nil)                // signal "device": what they and the report mean
//	...
//	attempt := guard.Attempt(r, risk.SignUp)
//	devices.Report(attempt, []byte(r.FormValue("device")))
//
// Sub-packages: ja4 tells the TLS library, useragent checks headers, fpjs uses the paid service of Fingerprint, ipintel
// knows about addresses. fingerprintredis keeps sightings on Redis; fingerprinttest has fakes.
//
// # Levels and consent
//
// At level [Passive] only what every request shows is looked at. [Active] adds a script's report and a device id kept in
// the browser. The host's function of region says who must be asked first ([Devices.MustAsk], [ConsentSentence]). A
// refusal is kept, and is no evidence: a visitor at level Passive has no code of the signal "device" at all.
//
// # Tokens
//
// FingerprintJS open source (its visitorId is computed again from the components that came along), ThumbmarkJS, and any
// id of an app's own ([Opaque]). A token has a confidence: FingerprintJS gives all iPhones of a model one id. Below
// [MinConfidence] a token is never counted alone, but together with network, User-Agent and TLS library, and ten times
// as many accounts are needed to make a farm.
//
// # Counts
//
// [Velocity] gives exact counts of attempts and of distinct values over an hour, a day and a week as facts, up to the
// store's cap. An attempt settled as risk.Undone, because the host's own insert failed, is taken back: three failures of
// the host's are not three of the flows a person may begin in a day. A visit costs 1 us in memory and one round trip on
// Redis.
//
// # What honest visitors get
//
// Points of this package's signals for requests that are honest, as TestFalsePositives keeps them true; nothing of it
// reaches a challenge, which begins 19 points above the base:
//
//	sample                                            ua   ja4   device   together
//	Chrome on Windows, first visit                     0     0        4          4
//	Chrome on Android, first visit                     0     0        4          4
//	Firefox on Linux, first visit                      0     0        4          4
//	Safari on an iPhone, same model as 30 others       0     0        0          0
//	any of them, without consent                       0     0        0          0
//	an old proxy drops client hints and Sec-Fetch      6     0        4         10
//	software that ends TLS, without HTTP/2             0     3        4          7
//	a virtual machine                                  0     0        6          6
//	the second account of a household's computer       0     0        3          3
//	a classroom's computer, four accounts a day        0     0       14         14
//
// # Security considerations
//
// Everything a browser says can be made up. A recomputed visitorId catches ids that were invented, not components that
// were copied; a device id of ours cannot be forged, but deleted, and a farm can collect as many as it visits pages.
// That is why counts go over several things at once, and why a deleted id on a known fingerprint is a code.
//
// What is kept are keyed hashes, bound to purpose, tenant and salt epoch; they are pseudonyms, and personal data as long
// as the key exists. Keys and the store belong apart. Counts expire after a week, first sightings after 30 days.
// [Sightings.Forget] erases what is known of a person's things.
//
// [Memory] is bounded; a flood of new devices evicts the least seen of them. Whoever can make that many attempts can make
// single devices be forgotten: limit attempts by address first.
//
// The package does not collect what mice and keyboards do, and reads no HTTP/2 fingerprint: net/http hides it.
package fingerprint
