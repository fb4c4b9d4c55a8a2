package action

import (
	"io"
	"reflect"
	"text/template"
	"text/template/parse"
)

// tryBranches renders an entry that is empty, but for which every branch is taken, and
// whatever is ranged over has one element: what is wrong within {{ if .JSON.order }}
// is wrong for each entry that has an order. No other template is gone into, as one
// that calls itself would never end.
func tryBranches(t *template.Template) error {
	taken, err := t.Clone()
	if err != nil {
		return err
	}
	tree := t.Tree.Copy()
	takeAll(tree.Root)
	if taken, err = taken.Funcs(tolerant).AddParseTree(t.Name(), tree); err != nil {
		return err
	}
	return taken.Execute(io.Discard, Data{})
}

// tolerant functions are in the place of those that fail by what the values are, not
// by their types.
var tolerant = template.FuncMap{
	"_some": some,
	"_zero": func(v any) any {
		if v == nil {
			return nil
		}
		return reflect.Zero(reflect.TypeOf(v)).Interface()
	},
	"slice": func(v any, _ ...any) any { return v },
	"float": func(any) float64 { return 0 },
}

// takeAll makes one branch after the other of those that exclude each other.
func takeAll(list *parse.ListNode) {
	if list == nil {
		return
	}
	var nodes []parse.Node
	for _, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.IfNode:
			other := n.Copy().(*parse.IfNode)
			takeOne(&n.BranchNode, &other.BranchNode)
			nodes = append(nodes, n, other)
		case *parse.WithNode:
			other := n.Copy().(*parse.WithNode)
			takeOne(&n.BranchNode, &other.BranchNode)
			nodes = append(nodes, n, other)
		case *parse.RangeNode:
			other := n.Copy().(*parse.RangeNode)
			takeOne(&n.BranchNode, &other.BranchNode)
			nodes = append(nodes, n, other)
		case *parse.TemplateNode, *parse.BreakNode, *parse.ContinueNode:
		default:
			nodes = append(nodes, n)
		}
	}
	list.Nodes = nodes
}

// takeOne makes first take its own branch, and other, which is a copy, its else.
func takeOne(first, other *parse.BranchNode) {
	first.Pipe.Cmds = append(first.Pipe.Cmds, call(first.Pos, "_some"))
	other.Pipe.Cmds = append(other.Pipe.Cmds, call(other.Pos, "_zero"))
	first.ElseList, other.List = nil, &parse.ListNode{NodeType: parse.NodeList, Pos: other.Pos}
	takeAll(first.List)
	takeAll(other.ElseList)
}

// some is what is there of that type, where v is empty.
func some(v any) any {
	switch of := v.(type) {
	case nil, string, null:
		if toText(v) == "" {
			return "1"
		}
	case bool:
		return true
	case List:
		if len(of) == 0 {
			return List{""}
		}
	case map[string]string:
		if len(of) == 0 {
			return map[string]string{"": ""}
		}
	}
	if r := reflect.ValueOf(v); r.CanInt() && r.IsZero() {
		return 1
	}
	return v
}
