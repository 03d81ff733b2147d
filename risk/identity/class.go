package identity

// Class is what a domain is to whoever counts mailboxes.
type Class uint8

// The classes. The zero value is every domain of which nothing is known: a company's, a person's own.
const (
	// ClassUnknown is no class.
	ClassUnknown Class = iota
	// ClassFree is a large provider at which anybody gets a mailbox for nothing. That is no risk by itself.
	ClassFree
	// ClassRelay forwards to a mailbox it keeps secret, for people who have one. It is not disposable.
	ClassRelay
	// ClassDisposable gives mailboxes that are thrown away.
	ClassDisposable
)

var classNames = [...]string{"", "free", "relay", "disposable"}

// String returns the class's name, "" for ClassUnknown.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "unknown"
}

// Classify returns the class of a domain in the form of [CleanDomain]. Relays are known by this package and win over
// lists, several of which carry them; a domain that is both disposable and free is disposable. nil disposable domains
// are none.
func Classify(domain string, disposable *Domains) Class {
	switch {
	case isRelay(domain):
		return ClassRelay
	case disposable.Has(domain):
		return ClassDisposable
	case free[domain] || yahoo[domain] || fastmail[domain]:
		return ClassFree
	}
	return ClassUnknown
}

// isRelay looks at the domain and at those above it: SimpleLogin and addy.io give users sub-domains.
func isRelay(domain string) bool {
	for {
		if relays[domain] {
			return true
		}
		i := 0
		for i < len(domain) && domain[i] != '.' {
			i++
		}
		if i == len(domain) {
			return false
		}
		domain = domain[i+1:]
	}
}
