#!/usr/bin/env bash
# A sweep over several machines under Slurm, which says who is who. The pictures and the output
# folder lie on a file system that all machines share. A job that ran out of time is sent again as
# it is, and goes on where it was.
#
#     sbatch --nodes=4 examples/sweep_slurm.sh PICTURES OUTPUT [options of `jaxviz features`]
#
#SBATCH --job-name=jaxviz
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=02:00:00
#SBATCH --requeue
set -euo pipefail
pictures=${1:?a folder of pictures, or one that jaxviz pack wrote}
output=${2:?a folder for the results}
shift 2

srun --kill-on-bad-exit=1 ${JAXVIZ:-jaxviz} features "$pictures" -o "$output" \
    --batch-size 512 --cluster "$@"
