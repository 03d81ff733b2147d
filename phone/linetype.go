package phone

import "github.com/nyaruka/phonenumbers/v2"

// LineType is what kind of line a number is. The zero value is Unknown.
type LineType uint8

// The line types. What a number alone can tell (offline) never is NonFixedVoIP, and rarely FixedVoIP: disposable numbers
// look like Mobile or FixedOrMobile. Only an [Intelligence] knows better.
const (
	Unknown       LineType = iota
	Mobile                 // a mobile line
	Landline               // a fixed line
	FixedOrMobile          // numbering plans that do not tell them apart, such as +1
	FixedVoIP              // VoIP with a subscriber and a place
	NonFixedVoIP           // VoIP anybody can take in seconds: burner apps, cloud numbers; offline: any VoIP range
	TollFree
	Premium
	SharedCost
	Personal
	Pager
	UAN // universal access number of a company
	Voicemail
	Satellite // and other numbers of no country: +870, +881 to +883, +979
	lineTypes
)

var lineTypeNames = [lineTypes]string{"unknown", "mobile", "landline", "fixed_or_mobile", "fixed_voip", "nonfixed_voip",
	"toll_free", "premium", "shared_cost", "personal", "pager", "uan", "voicemail", "satellite"}

// String is the name in lower case, as facts and logs carry it.
func (t LineType) String() string {
	if t >= lineTypes {
		return "invalid"
	}
	return lineTypeNames[t]
}

// VoIP reports whether the line is VoIP of either kind.
func (t LineType) VoIP() bool { return t == FixedVoIP || t == NonFixedVoIP }

// Costly reports whether calling the line may cost its caller much or pay somebody: it is never called.
func (t LineType) Costly() bool {
	switch t {
	case TollFree, Premium, SharedCost, UAN, Satellite, Personal, Pager, Voicemail:
		return true
	}
	return false
}

func lineTypeOf(t phonenumbers.PhoneNumberType) LineType {
	switch t {
	case phonenumbers.MOBILE:
		return Mobile
	case phonenumbers.FIXED_LINE:
		return Landline
	case phonenumbers.FIXED_LINE_OR_MOBILE:
		return FixedOrMobile
	case phonenumbers.VOIP:
		return NonFixedVoIP
	case phonenumbers.TOLL_FREE:
		return TollFree
	case phonenumbers.PREMIUM_RATE:
		return Premium
	case phonenumbers.SHARED_COST:
		return SharedCost
	case phonenumbers.PERSONAL_NUMBER:
		return Personal
	case phonenumbers.PAGER:
		return Pager
	case phonenumbers.UAN:
		return UAN
	case phonenumbers.VOICEMAIL:
		return Voicemail
	}
	return Unknown
}
