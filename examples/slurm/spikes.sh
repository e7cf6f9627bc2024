#!/bin/sh
# An array job of Slurm: each task infers the spikes of its share of the neurons.
#     sbatch examples/slurm/spikes.sh traces.npy 30        then:  vdi merge parts/* --out all
# A task that was killed is queued again and goes on where it was; one that is done changes nothing. So the whole job may be
# submitted again, too. By hand: SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_COUNT=8 sh examples/slurm/spikes.sh traces.npy 30
#SBATCH --array=1-8
#SBATCH --cpus-per-task=2
#SBATCH --mem=1G
#SBATCH --time=1:00:00
#SBATCH --requeue
set -eu
part=parts/$SLURM_ARRAY_TASK_ID
if [ -f "$part/run.json" ]; then
    exec "${VDI:-vdi}" spikes infer --resume "$part" --threads "${SLURM_CPUS_PER_TASK:-1}"
fi
exec "${VDI:-vdi}" spikes infer "$1" --fps "$2" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --out "$part" \
    --threads "${SLURM_CPUS_PER_TASK:-1}"
