package opencl

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/ebitengine/purego"
)

// LibraryName is the loader that hands calls on to the makers' drivers.
const LibraryName = "libOpenCL.so.1"

// ErrNoLibrary: the machine has no OpenCL. That is normal.
var ErrNoLibrary = errors.New("no OpenCL on this machine")

// handle is an object of the driver; what it refers to lies outside of Go.
type handle uintptr

// Constants of the OpenCL headers, cl.h and cl_ext.h.
const (
	success       int32 = 0
	deviceNotHere int32 = -1
	noPlatforms   int32 = -1001 // the loader knows no driver (cl_khr_icd)

	deviceTypeAll   uint64 = 0xFFFFFFFF
	deviceTypeCPU   uint64 = 1 << 1
	deviceTypeGPU   uint64 = 1 << 2
	deviceTypeAccel uint64 = 1 << 3

	platformVersion uint32 = 0x0901
	platformName    uint32 = 0x0902

	deviceType              uint32 = 0x1000
	deviceVendorID          uint32 = 0x1001
	deviceComputeUnits      uint32 = 0x1002
	deviceMaxWorkGroupSize  uint32 = 0x1004
	deviceMaxAlloc          uint32 = 0x1010
	deviceCacheSize         uint32 = 0x101E
	deviceGlobalMemory      uint32 = 0x101F
	deviceLocalMemory       uint32 = 0x1023
	deviceAvailable         uint32 = 0x1027
	deviceCompilerAvailable uint32 = 0x1028
	deviceName              uint32 = 0x102B
	deviceVendor            uint32 = 0x102C
	driverVersion           uint32 = 0x102D
	deviceExtensions        uint32 = 0x1030
	deviceUnifiedMemory     uint32 = 0x1035
	deviceNativeFloats      uint32 = 0x103A
	deviceUUID              uint32 = 0x106A // cl_khr_device_uuid
	deviceBusNV             uint32 = 0x4008 // cl_nv_device_attribute_query
	deviceSlotNV            uint32 = 0x4009
	deviceDomainNV          uint32 = 0x400A
	deviceTopologyAMD       uint32 = 0x4037 // cl_amd_device_attribute_query
	deviceBoardAMD          uint32 = 0x4038
	devicePCI               uint32 = 0x410F // cl_khr_pci_bus_info

	contextPlatform uintptr = 0x1084
	queueProfiling  uint64  = 1 << 1
	memReadWrite    uint64  = 1 << 0
	buildLog        uint32  = 0x1183
	profilingStart  uint32  = 0x1282
	profilingEnd    uint32  = 0x1283
)

// library is OpenCL as it was found at run time, only the calls needed.
type library struct {
	// live counts the objects that were made and not yet released.
	live atomic.Int64
	calls
}

// calls are the functions of OpenCL that the worker uses.
type calls struct {
	getPlatformIDs          func(n uint32, ids *handle, count *uint32) int32
	getPlatformInfo         func(p handle, what uint32, size uintptr, value *byte, needed *uintptr) int32
	getDeviceIDs            func(p handle, kind uint64, n uint32, ids *handle, count *uint32) int32
	getDeviceInfo           func(d handle, what uint32, size uintptr, value *byte, needed *uintptr) int32
	createContext           func(properties *uintptr, n uint32, d *handle, notify, user uintptr, status *int32) handle
	releaseContext          func(handle) int32
	createCommandQueue      func(c, d handle, properties uint64, status *int32) handle
	releaseCommandQueue     func(handle) int32
	createProgramWithSource func(c handle, n uint32, text **byte, lengths *uintptr, status *int32) handle
	buildProgram            func(p handle, n uint32, d *handle, options string, notify, user uintptr) int32
	getProgramBuildInfo     func(p, d handle, what uint32, size uintptr, value *byte, needed *uintptr) int32
	releaseProgram          func(handle) int32
	createKernel            func(p handle, name string, status *int32) handle
	setKernelArg            func(k handle, index uint32, size uintptr, value unsafe.Pointer) int32
	releaseKernel           func(handle) int32
	createBuffer            func(c handle, flags uint64, size uintptr, host uintptr, status *int32) handle
	releaseMemObject        func(handle) int32
	enqueueWriteBuffer      func(q, m handle, wait uint32, offset, size uintptr, from unsafe.Pointer, n uint32, after, event *handle) int32
	enqueueReadBuffer       func(q, m handle, wait uint32, offset, size uintptr, to unsafe.Pointer, n uint32, after, event *handle) int32
	enqueueNDRangeKernel    func(q, k handle, dims uint32, offset, global, local *uintptr, n uint32, after, event *handle) int32
	waitForEvents           func(n uint32, events *handle) int32
	getEventProfilingInfo   func(e handle, what uint32, size uintptr, value *uint64, needed *uintptr) int32
	releaseEvent            func(handle) int32
	finish                  func(q handle) int32
}

// load finds the library. It is never unloaded: drivers keep threads running.
func load(name string) (*library, error) {
	at, err := purego.Dlopen(name, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoLibrary, err)
	}
	l := &library{}
	for symbol, into := range map[string]any{
		"clGetPlatformIDs": &l.getPlatformIDs, "clGetPlatformInfo": &l.getPlatformInfo,
		"clGetDeviceIDs": &l.getDeviceIDs, "clGetDeviceInfo": &l.getDeviceInfo,
		"clCreateContext": &l.createContext, "clReleaseContext": &l.releaseContext,
		"clCreateCommandQueue": &l.createCommandQueue, "clReleaseCommandQueue": &l.releaseCommandQueue,
		"clCreateProgramWithSource": &l.createProgramWithSource, "clBuildProgram": &l.buildProgram,
		"clGetProgramBuildInfo": &l.getProgramBuildInfo, "clReleaseProgram": &l.releaseProgram,
		"clCreateKernel": &l.createKernel, "clSetKernelArg": &l.setKernelArg, "clReleaseKernel": &l.releaseKernel,
		"clCreateBuffer": &l.createBuffer, "clReleaseMemObject": &l.releaseMemObject,
		"clEnqueueWriteBuffer": &l.enqueueWriteBuffer, "clEnqueueReadBuffer": &l.enqueueReadBuffer,
		"clEnqueueNDRangeKernel": &l.enqueueNDRangeKernel, "clWaitForEvents": &l.waitForEvents,
		"clGetEventProfilingInfo": &l.getEventProfilingInfo, "clReleaseEvent": &l.releaseEvent, "clFinish": &l.finish,
	} {
		address, err := purego.Dlsym(at, symbol)
		if err != nil {
			return nil, fmt.Errorf("%s has no %s: %w", name, symbol, err)
		}
		purego.RegisterFunc(into, address)
	}
	return l, nil
}

// platforms are the drivers; none is an empty list.
func (l *library) platforms() ([]handle, error) {
	var n uint32
	switch code := l.getPlatformIDs(0, nil, &n); {
	case code == noPlatforms || code == success && n == 0:
		return nil, nil
	case code != success:
		return nil, call("clGetPlatformIDs", code)
	}
	ids := make([]handle, n)
	if code := l.getPlatformIDs(n, &ids[0], &n); code != success {
		return nil, call("clGetPlatformIDs", code)
	}
	return ids[:min(int(n), len(ids))], nil
}

// devices are a platform's; none is an empty list.
func (l *library) devices(platform handle) ([]handle, error) {
	var n uint32
	switch code := l.getDeviceIDs(platform, deviceTypeAll, 0, nil, &n); {
	case code == deviceNotHere || code == success && n == 0:
		return nil, nil
	case code != success:
		return nil, call("clGetDeviceIDs", code)
	}
	ids := make([]handle, n)
	if code := l.getDeviceIDs(platform, deviceTypeAll, n, &ids[0], &n); code != success {
		return nil, call("clGetDeviceIDs", code)
	}
	return ids[:min(int(n), len(ids))], nil
}

// maxInfo bounds what a driver may answer to one question: lists of
// extensions are a few KiB.
const maxInfo = 1 << 20

// ask gives the raw answer of one of the clGet…Info calls.
func ask(name string, get func(size uintptr, value *byte, needed *uintptr) int32) ([]byte, error) {
	var size uintptr
	if code := get(0, nil, &size); code != success {
		return nil, call(name, code)
	}
	if size == 0 {
		return nil, nil
	}
	if size > maxInfo {
		return nil, fmt.Errorf("%s: an answer of %d bytes", name, size)
	}
	value := make([]byte, size)
	if code := get(size, &value[0], nil); code != success {
		return nil, call(name, code)
	}
	return value, nil
}

func (l *library) platformInfo(p handle, what uint32) ([]byte, error) {
	return ask("clGetPlatformInfo", func(size uintptr, value *byte, needed *uintptr) int32 {
		return l.getPlatformInfo(p, what, size, value, needed)
	})
}

func (l *library) deviceInfo(d handle, what uint32) ([]byte, error) {
	return ask("clGetDeviceInfo", func(size uintptr, value *byte, needed *uintptr) int32 {
		return l.getDeviceInfo(d, what, size, value, needed)
	})
}
