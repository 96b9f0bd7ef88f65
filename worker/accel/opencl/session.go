package opencl

import (
	"embed"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
	"unsafe"
)

//go:embed kernels/*.cl
var kernels embed.FS

// session is a device in use: a context, a queue in order with times taken,
// and everything made through them, all of which close releases.
type session struct {
	lib     *library
	entry   entry
	context handle
	queue   handle
	undo    []func() int32
}

// open begins to use a device.
func (l *library) open(e entry) (*session, error) {
	s := &session{lib: l, entry: e}
	var code int32
	properties := []uintptr{contextPlatform, uintptr(e.platform), 0}
	s.context = l.createContext(&properties[0], 1, &e.handle, 0, 0, &code)
	if code != success {
		return nil, call("clCreateContext", code)
	}
	s.owe(l.releaseContext, s.context)
	s.queue = l.createCommandQueue(s.context, e.handle, queueProfiling, &code)
	if code != success {
		return nil, errors.Join(call("clCreateCommandQueue", code), s.close())
	}
	s.owe(l.releaseCommandQueue, s.queue)
	return s, nil
}

// owe notes down what is to be released.
func (s *session) owe(release func(handle) int32, h handle) {
	s.lib.live.Add(1)
	s.undo = append(s.undo, func() int32 {
		s.lib.live.Add(-1)
		return release(h)
	})
}

// mark is how far to release to end what is begun now.
func (s *session) mark() int { return len(s.undo) }

// release ends what was begun after a mark, last first, once the device is
// done with it.
func (s *session) release(mark int) error {
	var errs []error
	if s.queue != 0 && len(s.undo) > mark {
		errs = append(errs, call("clFinish", s.lib.finish(s.queue)))
	}
	for len(s.undo) > mark {
		last := s.undo[len(s.undo)-1]
		s.undo = s.undo[:len(s.undo)-1]
		errs = append(errs, call("release", last()))
	}
	return errors.Join(errs...)
}

func (s *session) close() error { return s.release(0) }

// buffer is memory of the device, in bytes.
func (s *session) buffer(size int) (handle, error) {
	var code int32
	h := s.lib.createBuffer(s.context, memReadWrite, uintptr(size), 0, &code)
	if code != success {
		return 0, fmt.Errorf("%d bytes of device memory: %w", size, call("clCreateBuffer", code))
	}
	s.owe(s.lib.releaseMemObject, h)
	return h, nil
}

// word is what buffers hold.
type word interface{ ~uint32 | ~float32 }

// filled is a buffer with a host's words.
func filled[T word](s *session, from []T) (handle, error) {
	h, err := s.buffer(4 * len(from))
	if err != nil {
		return 0, err
	}
	code := s.lib.enqueueWriteBuffer(s.queue, h, 1, 0, uintptr(4*len(from)), unsafe.Pointer(&from[0]), 0, nil, nil)
	runtime.KeepAlive(from)
	return h, call("clEnqueueWriteBuffer", code)
}

// read waits for the queue and copies words from a buffer, beginning at one.
func read[T word](s *session, h handle, first int, to []T) error {
	code := s.lib.enqueueReadBuffer(s.queue, h, 1, uintptr(4*first), uintptr(4*len(to)), unsafe.Pointer(&to[0]), 0, nil, nil)
	runtime.KeepAlive(to)
	return call("clEnqueueReadBuffer", code)
}

// compile builds a file of kernels. A driver without a compiler, as FPGAs
// have, cannot: see canMeasure.
func (s *session) compile(file string, options ...string) (handle, error) {
	source, err := kernels.ReadFile("kernels/" + file)
	if err != nil {
		return 0, err
	}
	var pin runtime.Pinner // the driver gets a pointer to a pointer
	defer pin.Unpin()
	first, length := &source[0], uintptr(len(source))
	pin.Pin(first)
	var code int32
	program := s.lib.createProgramWithSource(s.context, 1, &first, &length, &code)
	if code != success {
		return 0, call("clCreateProgramWithSource", code)
	}
	s.owe(s.lib.releaseProgram, program)
	if code := s.lib.buildProgram(program, 1, &s.entry.handle, strings.Join(options, " "), 0, 0); code != success {
		log, _ := ask("clGetProgramBuildInfo", func(size uintptr, value *byte, needed *uintptr) int32 {
			return s.lib.getProgramBuildInfo(program, s.entry.handle, buildLog, size, value, needed)
		}) // the log is a help; the error says what happened
		return 0, fmt.Errorf("compile %s for %s: %w: %s", file, s.entry.device.Model, call("clBuildProgram", code), printable(string(log), 500))
	}
	return program, nil
}

// task is a kernel with its arguments and its size.
type task struct {
	kernel handle
	global []uintptr
	local  []uintptr // nil lets the driver choose
}

// task sets a kernel up. Arguments are handles, uint32s and float32s.
func (s *session) task(program handle, name string, global, local []uintptr, args ...any) (task, error) {
	var code int32
	k := s.lib.createKernel(program, name, &code)
	if code != success {
		return task{}, fmt.Errorf("kernel %s: %w", name, call("clCreateKernel", code))
	}
	s.owe(s.lib.releaseKernel, k)
	for i, arg := range args {
		switch v := arg.(type) {
		case handle:
			code = s.lib.setKernelArg(k, uint32(i), unsafe.Sizeof(v), unsafe.Pointer(&v))
		case uint32:
			code = s.lib.setKernelArg(k, uint32(i), unsafe.Sizeof(v), unsafe.Pointer(&v))
		case float32:
			code = s.lib.setKernelArg(k, uint32(i), unsafe.Sizeof(v), unsafe.Pointer(&v))
		default:
			return task{}, fmt.Errorf("kernel %s: argument %d of type %T", name, i, arg)
		}
		if code != success {
			return task{}, fmt.Errorf("kernel %s, argument %d: %w", name, i, call("clSetKernelArg", code))
		}
	}
	return task{kernel: k, global: global, local: local}, nil
}

// run carries a task out so many times, one after the other, waits for the end
// and gives the time from the first's start to the last's end by the device's
// own clock.
func (s *session) run(t task, times int) (took time.Duration, err error) {
	var first, last handle
	defer func() {
		for _, event := range []handle{first, last} {
			if event != 0 {
				s.lib.live.Add(-1)
				err = errors.Join(err, call("clReleaseEvent", s.lib.releaseEvent(event)))
			}
		}
	}()
	for i := range times {
		var event *handle
		switch i {
		case times - 1:
			event = &last
		case 0:
			event = &first
		}
		var local *uintptr
		if t.local != nil {
			local = &t.local[0]
		}
		code := s.lib.enqueueNDRangeKernel(s.queue, t.kernel, uint32(len(t.global)), nil, &t.global[0], local, 0, nil, event)
		if code != success {
			return 0, call("clEnqueueNDRangeKernel", code)
		}
		if event != nil {
			s.lib.live.Add(1)
		}
	}
	if code := s.lib.waitForEvents(1, &last); code != success {
		return 0, call("clWaitForEvents", code)
	}
	began := last
	if first != 0 {
		began = first
	}
	return s.between(began, last)
}

func (s *session) between(first, last handle) (time.Duration, error) {
	var start, end uint64
	if code := s.lib.getEventProfilingInfo(first, profilingStart, 8, &start, nil); code != success {
		return 0, call("clGetEventProfilingInfo", code)
	}
	if code := s.lib.getEventProfilingInfo(last, profilingEnd, 8, &end, nil); code != success {
		return 0, call("clGetEventProfilingInfo", code)
	}
	if end <= start || end-start > uint64(time.Hour) {
		return 0, fmt.Errorf("the driver's clock says that work lasted from %d to %d ns", start, end)
	}
	return time.Duration(end - start), nil
}
