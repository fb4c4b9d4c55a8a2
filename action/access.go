package action

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"text/template/parse"
)

// text/template is not lenient with what JSON may be: of {{ .JSON.a.b }} it makes an
// error where a is a text, and "<no value>" where it is missing. So what leads into
// parsed values is put into calls of the functions below, which give an empty text
// for whatever is not there. What leads to Data's own names is left to text/template,
// and so are methods with arguments.

// loosen does that in a node and what is directly within it. dot and dollar say
// whether the two are the template's Data there.
func loosen(n parse.Node, dot, dollar bool) {
	switch n := n.(type) {
	case *parse.PipeNode:
		for i, c := range n.Cmds {
			for j, arg := range c.Args {
				if called := j == 0 && (i > 0 || len(c.Args) > 1); !called {
					c.Args[j] = loosened(arg, dot, dollar)
				}
			}
		}
	case *parse.RangeNode:
		if !ofData(n.Pipe, dot) {
			n.Pipe.Cmds = append(n.Pipe.Cmds, call(n.Pos, "_each"))
		}
	}
}

// ofData tells a pipe that is a name of Data: {{ range .Text }} is a mistake, to be
// reported as one.
func ofData(pipe *parse.PipeNode, dot bool) bool {
	if len(pipe.Cmds) != 1 || len(pipe.Cmds[0].Args) != 1 {
		return false
	}
	f, ok := pipe.Cmds[0].Args[0].(*parse.FieldNode)
	return ok && dot && f.Ident[0] != "JSON"
}

func loosened(n parse.Node, dot, dollar bool) parse.Node {
	var of parse.Node
	var names []string
	switch n := n.(type) {
	case *parse.FieldNode:
		if !dot {
			of, names = &parse.DotNode{NodeType: parse.NodeDot, Pos: n.Pos}, n.Ident
		} else if n.Ident[0] == "JSON" {
			of, names = &parse.FieldNode{NodeType: parse.NodeField, Pos: n.Pos, Ident: n.Ident[:1]}, n.Ident[1:]
		}
	case *parse.VariableNode:
		if len(n.Ident) == 1 {
			return n
		}
		if n.Ident[0] != "$" || !dollar {
			of, names = &parse.VariableNode{NodeType: parse.NodeVariable, Pos: n.Pos, Ident: n.Ident[:1]}, n.Ident[1:]
		} else if n.Ident[1] == "JSON" {
			of, names = &parse.VariableNode{NodeType: parse.NodeVariable, Pos: n.Pos, Ident: n.Ident[:2]}, n.Ident[2:]
		}
	case *parse.ChainNode:
		of, names = n.Node, n.Field
	}
	if of == nil {
		return n
	}
	c := call(n.Position(), "_get", of)
	for _, name := range names {
		c.Args = append(c.Args, &parse.StringNode{NodeType: parse.NodeString, Pos: n.Position(), Quoted: "\x00." + name, Text: name})
	}
	return &parse.PipeNode{NodeType: parse.NodePipe, Pos: n.Position(), Cmds: []*parse.CommandNode{c}}
}

func call(at parse.Pos, function string, args ...parse.Node) *parse.CommandNode {
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: at, Args: append([]parse.Node{parse.NewIdentifier(function).SetPos(at)}, args...)}
}

// asWritten takes the calls off an error's words again, so that it shows what the user
// wrote. loosened prints names behind a zero byte.
var asWritten = strings.NewReplacer("_get . \x00", "", "_get ", "", " \x00", "", "\x00", "", " | _escape", "", " | _each", "", " | _some", "", " | _zero", "").Replace

// noSuchName is a name that a value never has, whatever the message.
type noSuchName struct {
	name string
	of   any
}

func (e *noSuchName) Error() string { return fmt.Sprintf("there is no .%s of a %T", e.name, e.of) }

// get is what the names lead to, one within the other.
func get(v any, names ...string) (any, error) {
	for _, name := range names {
		switch of := v.(type) {
		case Object:
			v = of[name]
		case map[string]string:
			v = of[name]
		case nil, bool, int, int64, float64, string, json.Number, null, List:
			return "", nil
		default:
			var err error
			if v, err = member(v, name); err != nil {
				return nil, err
			}
		}
	}
	if v == nil {
		return "", nil
	}
	return v, nil
}

// member is a field of a struct, or what a method returns: of Data itself, or of a
// time.
func member(of any, name string) (any, error) {
	v := reflect.ValueOf(of)
	if m := v.MethodByName(name); m.IsValid() && m.Type().NumIn() == 0 && m.Type().NumOut() == 1 {
		return m.Call(nil)[0].Interface(), nil
	}
	if v.Kind() == reflect.Struct {
		if f := v.FieldByName(name); f.IsValid() && f.CanInterface() {
			return f.Interface(), nil
		}
	}
	return nil, &noSuchName{name, of}
}

// index is text/template's, but for what is not there.
func index(v any, keys ...any) any {
	for _, key := range keys {
		switch of := v.(type) {
		case Object:
			v = of[toText(key)]
		case map[string]string:
			v = of[toText(key)]
		case List:
			i, ok := wholeNumber(key)
			if !ok || i < 0 || i >= int64(len(of)) {
				return ""
			}
			v = of[i]
		default:
			return ""
		}
	}
	if v == nil {
		return ""
	}
	return v
}

// each is what range goes through: nothing, where it is neither a list nor an object.
// An int is the user's own, as in {{ range 3 }}; JSON's, which may be huge, are int64.
func each(v any) any {
	switch v.(type) {
	case bool, int64, float64, string, json.Number, null:
		return List(nil)
	}
	return v
}

// toText is how a template prints a value.
func toText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	return fmt.Sprint(v)
}

func wholeNumber(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int64:
		return v, true
	}
	return 0, false
}
