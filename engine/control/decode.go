package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// member is one "name": value of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// members splits a JSON object. encoding/json alone would take the last of two equal names, and would match names
// regardless of case; both hide a caller's mistake. The object must be valid JSON.
func members(object []byte) (list []member, twice string, err error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		return nil, "", err
	}
	seen := make(map[string]bool)
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, "", err
		}
		m := member{name: name.(string)} // in an object, every other token is a name
		if err := d.Decode(&m.value); err != nil {
			return nil, "", err
		}
		if seen[m.name] {
			return nil, m.name, nil
		}
		seen[m.name] = true
		list = append(list, m)
	}
	return list, "", nil
}

// request is what a line has to be. ID is known as soon as it is legible, so that an error can be told apart.
type request struct {
	id     json.RawMessage
	method string
	params json.RawMessage
}

// parseRequest checks a line against JSON-RPC 2.0, and against what this protocol leaves out of it: batches and
// notifications, since every command gets its own answer.
func parseRequest(line []byte) (r request, err error) {
	if !utf8.Valid(line) {
		return r, Errorf(ReasonParseError, "the line is not UTF-8")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(line, &whole); err != nil {
		return r, Errorf(ReasonParseError, "the line is not JSON: %v", err)
	}
	if kindOf(whole) == "an array" {
		return r, Errorf(ReasonInvalidRequest, "batches are not served").WithHint("send each request on a line of its own")
	}
	if kind := kindOf(whole); kind != "an object" {
		return r, Errorf(ReasonInvalidRequest, "a request is an object, not %s", kind)
	}
	list, twice, err := members(whole)
	if err != nil {
		return r, Errorf(ReasonParseError, "the line is not JSON: %v", err)
	}
	if twice != "" {
		return r, invalidRequest(twice, "%s is given twice", clip(twice))
	}
	return r, r.fill(list)
}

func (r *request) fill(list []member) error {
	// The id first: whatever else is wrong is then answered under it.
	for _, m := range list {
		if k := kindOf(m.value); m.name == "id" && (k == "a string" || k == "a number") {
			r.id = m.value
		}
	}
	if r.id == nil {
		return invalidRequest("id", "the id must be given, as a string or a number")
	}
	version := ""
	for _, m := range list {
		switch m.name {
		case "id":
		case "jsonrpc":
			_ = json.Unmarshal(m.value, &version) // anything but the string "2.0" is refused below
		case "method":
			if err := json.Unmarshal(m.value, &r.method); err != nil {
				return invalidRequest("method", "the method must be a string, not %s", kindOf(m.value))
			}
		case "params":
			if k := kindOf(m.value); k != "an object" {
				return invalidParams("params", "params must be an object, not %s", k)
			}
			r.params = m.value
		default:
			return invalidRequest(m.name, "a request has no member %s", clip(m.name))
		}
	}
	if version != "2.0" {
		return invalidRequest("jsonrpc", `jsonrpc must be "2.0"`)
	}
	if r.method == "" {
		return invalidRequest("method", "the method must be given")
	}
	return nil
}

// decodeParams fills the struct that dst points to from a JSON object (nil: empty), strictly: names as they are spelt in the
// struct's tags, types as they are, no null, nothing twice.
func decodeParams(object json.RawMessage, dst any) error {
	if len(object) == 0 {
		return nil
	}
	list, twice, err := members(object)
	if err != nil {
		return invalidParams("", "params: %v", err)
	}
	if twice != "" {
		return invalidParams(twice, "%s is given twice", clip(twice))
	}
	v := reflect.ValueOf(dst).Elem()
	for _, m := range list {
		field, ok := fieldNamed(v, m.name)
		if !ok {
			return invalidParams(m.name, "there is no parameter %s", clip(m.name))
		}
		if err := decodeValue(m.name, m.value, field); err != nil {
			return err
		}
	}
	return nil
}

func fieldNamed(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if tag == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// wanted names what a field of each kind takes, in the words of kindOf.
var wanted = map[reflect.Kind]string{
	reflect.String: "a string", reflect.Bool: "a boolean", reflect.Slice: "an array",
	reflect.Int: "a number", reflect.Float64: "a number",
}

func decodeValue(path string, value json.RawMessage, v reflect.Value) error {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if want, got := wanted[v.Kind()], kindOf(value); got != want {
		return invalidParams(path, "%s must be %s, not %s", path, want, got)
	}
	if v.Kind() == reflect.Slice {
		return decodeSlice(path, value, v)
	}
	if err := json.Unmarshal(value, v.Addr().Interface()); err != nil {
		// The kind is right, so it is a number out of the type's range or with a fraction.
		return invalidParams(path, "%s: %s is not a number in range (a count has no fraction and no exponent)", path, clip(string(value)))
	}
	return nil
}

func decodeSlice(path string, value json.RawMessage, v reflect.Value) error {
	var elements []json.RawMessage
	if err := json.Unmarshal(value, &elements); err != nil {
		return invalidParams(path, "%s: %v", path, err)
	}
	v.Set(reflect.MakeSlice(v.Type(), len(elements), len(elements)))
	for i, e := range elements {
		if err := decodeValue(fmt.Sprintf("%s[%d]", path, i), e, v.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

// kindOf names the kind of a valid JSON value.
func kindOf(value []byte) string {
	switch value = bytes.TrimLeft(value, " \t\r\n"); {
	case len(value) == 0:
		return "nothing"
	case value[0] == '{':
		return "an object"
	case value[0] == '[':
		return "an array"
	case value[0] == '"':
		return "a string"
	case value[0] == 't', value[0] == 'f':
		return "a boolean"
	case value[0] == 'n':
		return "null"
	}
	return "a number"
}

func invalidRequest(field, format string, args ...any) error {
	return Errorf(ReasonInvalidRequest, format, args...).WithField(clipBytes(field))
}

func invalidParams(field, format string, args ...any) error {
	return Errorf(ReasonInvalidParams, format, args...).WithField(clipBytes(field))
}

// clip quotes a caller's text for a message, at most 64 bytes of it: an error must not be as long as what caused it.
func clip(s string) string { return fmt.Sprintf("%q", clipBytes(s)) }

func clipBytes(s string) string {
	if len(s) <= 64 {
		return s
	}
	return strings.ToValidUTF8(s[:64], "") + "…"
}
