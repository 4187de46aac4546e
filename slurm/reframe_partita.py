"""Partita as a ReFrame regression test: one test for each run file and grid.

    reframe -C SITE.py -c slurm/reframe_partita.py -r --performance-report

A run passes when its last line is STATUS: PASS; its figures of merit become performance variables. `reference` holds what a figure must
be, as (target, lower, upper, unit) with bounds as fractions of the target. Accuracy does not depend on the machine and is checked
everywhere; give your own system's throughput by a subclass, or check it against an earlier run with --performance-compare.

Variables, set by -S NAME=VALUE: partita_home (folder with inputs/), partita_bin (folder of the programs; PATH if empty), more_options.
"""
import math
import os

import reframe as rfm
import reframe.utility.sanity as sn

HERE = os.path.dirname(os.path.abspath(__file__))


class PartitaTraining(rfm.RunOnlyRegressionTest):
    """A training; subclasses say which run files and grids, and what their figures must be."""
    run_file = parameter()
    grid = parameter()  # extents by axis, such as "data=2 tensor=4"; their product is the number of tasks
    partita_home = variable(str, value=os.path.dirname(HERE))
    partita_bin = variable(str, value=os.path.join(os.path.dirname(HERE), "build", "release", "bin"))
    more_options = variable(str, value="")
    valid_systems = ["*"]
    valid_prog_environs = ["*"]
    num_cpus_per_task = 1
    time_limit = "10m"

    @run_before("run")
    def set_command(self):
        extents = dict(extent.split("=") for extent in self.grid.split())
        self.num_tasks = math.prod(map(int, extents.values()))
        self.executable = os.path.join(self.partita_bin, "partita-train")
        self.executable_opts = [f"--config={self.partita_home}/inputs/runs/{self.run_file}.ini", "--output=result.h5",
                                f"--compute.threads={self.num_cpus_per_task}", *(f"--grid.{axis}={n}" for axis, n in extents.items()),
                                *self.more_options.split()]
        self.keep_files = ["result.h5"]

    @run_before("run")
    def set_launcher_options(self):
        if self.job.launcher.registered_name == "srun":
            self.job.launcher.options = ["--mpi=pmi2", "-K1", "--cpu-bind=cores", f"--cpus-per-task={self.num_cpus_per_task}"]

    @sanity_function
    def passed(self):
        return sn.all([sn.assert_found(r"^STATUS: PASS$", self.stdout), sn.assert_eq(self.job.exitcode, 0)])

    @run_before("performance")
    def read_figures(self):
        printed = os.path.join(self.stagedir, sn.evaluate(self.stdout))
        figures = sn.extractall(r"^FOM name=(\S+) value=(\S+) unit=(\S+)", printed, (1, 2, 3), (str, float, str))
        self.perf_variables = {name: sn.make_performance_function(sn.defer(value), unit) for name, value, unit in sn.evaluate(figures)}


@rfm.simple_test
class PartitaPerceptron(PartitaTraining):
    run_file = parameter(["digits_mlp"])
    grid = parameter(["data=1", "data=2", "pipeline=2", "tensor=2"])
    reference = {"*": {"test_accuracy": (0.925, -0.02, 0.02, "1")}}


@rfm.simple_test
class PartitaConvolutionalNet(PartitaTraining):
    run_file = parameter(["digits_cnn"])
    grid = parameter(["data=1", "data=2", "pipeline=2", "tensor=2", "data=2 pipeline=2"])
    reference = {"*": {"test_accuracy": (0.968, -0.02, 0.02, "1")}}
