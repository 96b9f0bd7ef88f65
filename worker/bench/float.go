package bench

import "math"

const (
	// bodies of the simulation; all they have is 2 KiB.
	bodies = 32
	// charges are how many vectors the matrix of the bodies is applied to.
	charges = 8
	// floatSteps makes a slice take some 2 ms on the reference core.
	floatSteps = 400
	// timeStep and softening keep the bodies slow and apart, so that nothing
	// ever overflows.
	timeStep  = 1e-3
	softening = 0.05
)

// floatKernel moves bodies that attract each other and applies the matrix of
// their potentials to vectors: square roots, divisions, and many products and
// sums in double precision.
//
// Every product is converted to float64 before it is added. The language
// allows x*y + z to be one rounding where the processor can do that (arm64,
// newer amd64), and forbids it across a conversion; so all architectures round
// alike. The operations used (+, -, ·, ÷, √) are exact by IEEE 754.
type floatKernel struct {
	seed                uint64
	x, y, z, vx, vy, vz [bodies]float64
	potential           [bodies][bodies]float64
	charge              [charges][bodies]float64
	sum                 uint64
}

func newFloat(seed uint64) *floatKernel { return &floatKernel{seed: seed} }

func (k *floatKernel) slice() error {
	return same(&k.sum, k.work())
}

func (k *floatKernel) result() uint64 { return k.sum }

func (k *floatKernel) work() uint64 {
	k.begin()
	sum := k.seed
	for range floatSteps {
		k.attract()
		sum = sum*31 + math.Float64bits(k.apply())
	}
	for i := range k.x {
		sum = sum*31 + math.Float64bits(k.x[i])
		sum = sum*31 + math.Float64bits(k.vy[i])
	}
	return sum
}

func (k *floatKernel) begin() {
	next := sequence(k.seed)
	for i := range bodies {
		k.x[i], k.y[i], k.z[i] = next.unit(), next.unit(), next.unit()
		k.vx[i], k.vy[i], k.vz[i] = 0, 0, 0
		for c := range charges {
			k.charge[c][i] = next.unit() - 0.5
		}
	}
}

// attract moves the bodies one step and notes the potential between them.
func (k *floatKernel) attract() {
	for i := range bodies {
		xi, yi, zi := k.x[i], k.y[i], k.z[i]
		ax, ay, az := k.vx[i], k.vy[i], k.vz[i]
		for j := i + 1; j < bodies; j++ {
			dx, dy, dz := k.x[j]-xi, k.y[j]-yi, k.z[j]-zi
			square := float64(dx*dx) + float64(dy*dy) + float64(dz*dz) + softening
			near := 1 / math.Sqrt(square)
			k.potential[i][j], k.potential[j][i] = near, near
			pull := float64(near*timeStep) / square
			ax += float64(dx * pull)
			ay += float64(dy * pull)
			az += float64(dz * pull)
			k.vx[j] -= float64(dx * pull)
			k.vy[j] -= float64(dy * pull)
			k.vz[j] -= float64(dz * pull)
		}
		k.vx[i], k.vy[i], k.vz[i] = ax, ay, az
	}
	for i := range bodies {
		k.x[i] += float64(k.vx[i] * timeStep)
		k.y[i] += float64(k.vy[i] * timeStep)
		k.z[i] += float64(k.vz[i] * timeStep)
	}
}

// apply is the energy of all charges: each vector through the matrix, and back.
func (k *floatKernel) apply() float64 {
	energy := 0.0
	for c := range charges {
		q := &k.charge[c]
		for i := range bodies {
			row := &k.potential[i]
			// Four sums, as the sums of one chain would wait for each other.
			var a, b, d, e float64
			for j := 0; j < bodies; j += 4 {
				a += float64(row[j] * q[j])
				b += float64(row[j+1] * q[j+1])
				d += float64(row[j+2] * q[j+2])
				e += float64(row[j+3] * q[j+3])
			}
			energy += float64((a + b + d + e) * q[i])
		}
	}
	return energy
}
