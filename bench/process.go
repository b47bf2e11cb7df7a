package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"statek/bench/contender"
)

// rival is one contender in its own process.
type rival struct {
	cmd     *exec.Cmd
	orders  *json.Encoder
	answers *json.Decoder
	in      io.Closer
}

// start runs a contender and waits until it is open. It ends with ctx, or when its input is closed.
func start(ctx context.Context, url string, log io.Writer, argv ...string) (*rival, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "TZ=UTC", databaseVariable+"="+url)
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	c := &rival{cmd: cmd, orders: json.NewEncoder(in), answers: json.NewDecoder(out), in: in}
	if _, err := c.answer(); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func (c *rival) pid() int { return c.cmd.Process.Pid }

func (c *rival) order(o contender.Order) (contender.Answer, error) {
	if err := c.orders.Encode(o); err != nil {
		return contender.Answer{}, fmt.Errorf("order %s: %w", o.Do, err)
	}
	return c.answer()
}

func (c *rival) answer() (contender.Answer, error) {
	var a contender.Answer
	if err := c.answers.Decode(&a); err != nil {
		return a, fmt.Errorf("the contender did not answer: %w", err)
	}
	if a.Err != "" {
		return a, errors.New(a.Err)
	}
	return a, nil
}

// stop ends the process; one that does not leave is killed.
func (c *rival) stop() {
	_ = c.in.Close()
	over := time.AfterFunc(10*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer over.Stop()
	_ = c.cmd.Wait() // how it ended does not matter any more
}

// program is a process that is only run: a worker.
type program struct {
	cmd *exec.Cmd
	log bytes.Buffer
}

// startProgram runs a program with the database in its environment.
func startProgram(ctx context.Context, url string, argv ...string) (*program, error) {
	p := &program{cmd: exec.CommandContext(ctx, argv[0], argv[1:]...)}
	p.cmd.Env = append(os.Environ(), "DATABASE_URL="+url)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	return p, nil
}

func (p *program) stop() error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		return fmt.Errorf("%s has ended by itself: %s", p.cmd.Path, p.log.String())
	}
	over := time.AfterFunc(30*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer over.Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w: %s", p.cmd.Path, err, p.log.String())
	}
	return nil
}
