// Package where filters events by expressions such as
//
//	status >= 400 && host contains "example"
//
// in the language of github.com/expr-lang/expr. The fields are those of events.Event, by their names in JSON; beside them
// there are header(name), resp_header(name), cookie(name), param(name), and the texts request_body and body.
package where

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm"

	"github.com/tcpfollow/tcpfollow/events"
)

// Filter is a compiled expression. It is not safe for concurrent use.
type Filter struct {
	program *vm.Program
	machine vm.VM
	bodies  bool
}

// environment is what an expression sees.
type environment struct {
	events.Event
	Header         func(string) string `expr:"header"`
	ResponseHeader func(string) string `expr:"resp_header"`
	Cookie         func(string) string `expr:"cookie"`
	Param          func(string) string `expr:"param"`
	RequestBody    string              `expr:"request_body"`
	Body           string              `expr:"body"`
}

// Compile compiles an expression, which must be true or false for every event.
func Compile(text string) (*Filter, error) {
	f := &Filter{}
	program, err := expr.Compile(text, expr.Env(environment{}), expr.AsBool(), expr.Patch(f))
	if err != nil {
		return nil, fmt.Errorf("filter: %s", firstLine(err.Error()))
	}
	f.program = program
	return f, nil
}

// firstLine returns what is wrong, without the picture of where.
func firstLine(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	return text
}

// Visit notes what the expression looks at, while it is compiled.
func (f *Filter) Visit(node *ast.Node) {
	if name, ok := (*node).(*ast.IdentifierNode); ok && (name.Value == "body" || name.Value == "request_body") {
		f.bodies = true
	}
}

// Bodies reports whether the expression looks at bodies, so that they have to be collected.
func (f *Filter) Bodies() bool { return f.bodies }

// Match reports whether the expression is true for an event.
func (f *Filter) Match(e *events.Event) (bool, error) {
	env := environment{Event: *e, Header: e.Header, ResponseHeader: e.ResponseHeader, Cookie: e.Cookie, Param: e.Param}
	if f.bodies {
		env.RequestBody, env.Body = string(e.RequestBody()), string(e.Body())
	}
	result, err := f.machine.Run(f.program, env)
	if err != nil {
		return false, fmt.Errorf("filter: %s", firstLine(err.Error()))
	}
	yes, _ := result.(bool)
	return yes, nil
}
