package captcha

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The right column is what JSON.stringify(sortKeys(JSON.parse(left))) of altcha-lib 2.8.0 gives.
func TestCanonical(t *testing.T) {
	for _, row := range []struct{ in, want string }{
		{`{}`, `{}`},
		{` { "b" : 1 , "a" : { "d" : true , "c" : null } } `, `{"a":{"c":null,"d":true},"b":1}`},
		{`{"a":"<b> & 'c'"}`, `{"a":"<b> & 'c'"}`},
		{`{"a":"\u2028\u2029"}`, "{\"a\":\"\u2028\u2029\"}"},
		{`{"a":"\u003c\/\u00e9\ud83d\ude00"}`, `{"a":"</é😀"}`},
		{`{"a":"\"\\\b\f\n\r\t\u0001\u001F\u007f"}`, "{\"a\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\u007f\"}"},
		{`{"b":1,"10":1,"9":1,"a":1}`, `{"9":1,"10":1,"a":1,"b":1}`},
		{`{"01":1,"1":1,"-1":1,"4294967294":1,"4294967295":1}`, `{"1":1,"4294967294":1,"-1":1,"01":1,"4294967295":1}`},
		{"{\"\uffff\":1,\"😀\":2,\"é\":3,\"z\":4,\"zé\":5}", "{\"z\":4,\"zé\":5,\"é\":3,\"😀\":2,\"\uffff\":1}"},
		{`{"n":-5,"m":9007199254740991,"z":0}`, `{"m":9007199254740991,"n":-5,"z":0}`},
	} {
		v, err := parseJSON(row.in)
		require.NoError(t, err, row.in)
		got, ok := appendCanonical(nil, &v)
		require.True(t, ok)
		require.Equal(t, row.want, string(got))
		again, err := parseJSON(string(got))
		require.NoError(t, err)
		twice, _ := appendCanonical(nil, &again)
		require.Equal(t, string(got), string(twice))
	}
}

func TestParseJSONRefuses(t *testing.T) {
	for _, in := range []string{
		``, ` `, `null`, `1`, `"a"`, `[]`, `{`, `{}}`, `{} {}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{"a":1 "b":2}`, `{a:1}`, `{'a':1}`,
		`{"a":1,"a":1}`, `{"a":1,"\u0061":1}`, `{"a":[1]}`, `{"a":01}`, `{"a":+1}`, `{"a":.5}`, `{"a":1.}`, `{"a":1e}`, `{"a":-}`, `{"a":0x1}`,
		`{"a":NaN}`, `{"a":True}`, `{"a":nul}`, "{\"a\":\"\n\"}", `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\u12g4"}`, `{"a":"\ud800"}`,
		`{"a":"\ud800\u0041"}`, `{"a":"\udc00"}`, `{"a":"\ud800x"}`, `{"a":"`, `{"a":"\`, `{"a":"\u`, "{\"a\":\"\xff\"}", "{\"a\xff\":1}", "\ufeff{}",
		`{"a":{"b":{"c":{"d":{}}}}}`, "{\"a\":1}\x00", `{"a":1/**/}`,
		"{\"a\":\"\\u\x10\x10\x10\x10\"}", // control characters are no hex digits
	} {
		_, err := parseJSON(in)
		require.Error(t, err, in)
	}
}

// Numbers that JavaScript would print otherwise cannot be signed.
func TestNumbersThatChange(t *testing.T) {
	for _, n := range []string{`1.0`, `1e0`, `-0`, `9007199254740992`, `-9007199254740992`, `99999999999999999999`, `0.5`, `1E+2`} {
		v, err := parseJSON(`{"a":` + n + `}`)
		require.NoError(t, err, n)
		_, ok := appendCanonical(nil, &v)
		require.False(t, ok, n)
	}
}

func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(`{"a":"b\u0041","c":{"d":-1}}`))
	f.Add([]byte(`{"a":1.5e3,"":null,"x":true}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := parseJSON(string(data))
		if err != nil {
			return
		}
		once, ok := appendCanonical(nil, &v)
		if !ok {
			return
		}
		again, err := parseJSON(string(once))
		require.NoError(t, err)
		twice, ok := appendCanonical(nil, &again)
		require.True(t, ok)
		require.Equal(t, string(once), string(twice))
	})
}
