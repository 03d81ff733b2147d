package phone

// Channel is how a code travels. The zero value is no channel.
type Channel uint8

// The channels.
const (
	SMS Channel = iota + 1
	Voice
	WhatsApp
	channels
)

var channelNames = [channels]string{"", "sms", "voice", "whatsapp"}

// String is "sms", "voice" or "whatsapp".
func (c Channel) String() string {
	if c == 0 || c >= channels {
		return "none"
	}
	return channelNames[c]
}

// ParseChannel reads what String writes.
func ParseChannel(s string) (Channel, bool) {
	for c := SMS; c < channels; c++ {
		if channelNames[c] == s {
			return c, true
		}
	}
	return 0, false
}
