"""Spack recipe of Partita. It builds a checkout, in place:

    mkdir -p REPO/packages/partita && cp slurm/spack/package.py REPO/packages/partita/ && printf 'repo:\\n  namespace: local\\n' > REPO/repo.yaml
    spack repo add REPO && spack dev-build --source-path . partita@0.1.0 target=x86_64_v4
"""
from spack.package import *


class Partita(CMakePackage, CudaPackage):
    """Measures, checks and compares decompositions of neural-network training over MPI."""

    version("0.1.0")

    variant("report", default=True, description="Python modules that open results and draw them")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("ninja", type="build")
    depends_on("mpi")
    depends_on("hdf5@1.10:")
    depends_on("boost@1.74:+program_options")
    depends_on("onednn@2.6:2")
    depends_on("zlib-api")
    depends_on("openssl")
    depends_on("curl")
    depends_on("benchmark")
    depends_on("nlohmann-json")
    depends_on("random123")
    depends_on("cuda@12:", when="+cuda")
    depends_on("googletest", type="test")
    depends_on("python@3.9:", type=("test", "run"), when="+report")
    with default_args(type=("test", "run"), when="+report"):
        depends_on("py-numpy")
        depends_on("py-h5py")
        depends_on("py-xarray")
        depends_on("py-h5netcdf")
        depends_on("py-matplotlib")
        depends_on("py-pandas")

    # C++20 with concepts and designated initialisers; tried with GCC 12.
    conflicts("%gcc@:10")

    generator("ninja")

    def cmake_args(self):
        arguments = [
            self.define("PARTITA_TESTS", self.run_tests),
            self.define("PARTITA_CUDA", "ON" if self.spec.satisfies("+cuda") else "OFF"),
            # Spack's compiler wrapper passes the target's own -march.
            self.define("PARTITA_CPU_ARCH", ""),
        ]
        architectures = self.spec.variants["cuda_arch"].value if self.spec.satisfies("+cuda") else ("none",)
        if "none" not in architectures:
            arguments.append(self.define("PARTITA_CUDA_ARCHITECTURES", ";".join(f"{a}-real" for a in architectures)))
        return arguments
