// SPDX-License-Identifier: ISC

// libmortise from Go, by cgo.
//
//	client get PATH            prints a secret, byte for byte
//	client set PATH <VALUE     stores a version
package main

/*
#cgo pkg-config: libmortise
#include <stdlib.h>
#include <mortise.h>
*/
import "C"

import (
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"
)

// Error is what the agent or the library says; Status is an enum mortise_status.
type Error struct {
	Status  int
	Message string
}

func (e *Error) Error() string { return e.Message }

// Mortise is a connection, for one goroutine at a time.
type Mortise struct{ agent *C.struct_mortise }

// Open connects to the agent at MORTISE_SOCKET, or the host's own.
func Open() (*Mortise, error) {
	m := &Mortise{}
	if err := m.check(C.mortise_open(nil, &m.agent)); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// Close may be called more than once.
func (m *Mortise) Close() {
	C.mortise_close(m.agent)
	m.agent = nil
}

func (m *Mortise) check(status C.enum_mortise_status) error {
	if status == C.MORTISE_OK {
		return nil
	}
	if m.agent == nil {
		return &Error{int(status), "out of memory"}
	}
	return &Error{int(status), C.GoString(C.mortise_message(m.agent))}
}

// WithSecret hands a value to use and wipes it behind that. It lies in C's memory, of which
// the garbage collector makes no copies; a string made of it is one.
func (m *Mortise) WithSecret(path string, use func(value []byte) error) error {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	buffer := C.malloc(C.MORTISE_VALUE_MAX)
	defer C.free(buffer)
	defer C.mortise_wipe(buffer, C.MORTISE_VALUE_MAX)
	var size C.size_t
	if err := m.check(C.mortise_get(m.agent, name, buffer, C.MORTISE_VALUE_MAX, &size)); err != nil {
		return err
	}
	return use(unsafe.Slice((*byte)(buffer), int(size)))
}

func first(value []byte) unsafe.Pointer {
	if len(value) == 0 {
		return nil
	}
	return unsafe.Pointer(&value[0])
}

// Set stores a version and returns its number.
func (m *Mortise) Set(path string, value []byte) (uint64, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var version C.uint64_t
	err := m.check(C.mortise_set(m.agent, name, first(value),
		C.size_t(len(value)), &version))
	return uint64(version), err
}

func run(verb, path string) error {
	agent, err := Open()
	if err != nil {
		return err
	}
	defer agent.Close()
	if verb != "set" {
		return agent.WithSecret(path, func(value []byte) error {
			_, err := os.Stdout.Write(value)
			return err
		})
	}
	value, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	version, err := agent.Set(path, value)
	if err == nil {
		fmt.Println("version", version)
	}
	return err
}

func main() {
	err := run(os.Args[1], os.Args[2])
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "client:", err)
	var failure *Error
	if errors.As(err, &failure) {
		os.Exit(failure.Status)
	}
	os.Exit(1)
}
