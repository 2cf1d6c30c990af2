#!/bin/bash
# Train on one or several machines without Slurm, one process for each GPU. On one machine:
#
#   GPUS=8 experiments/cluster/torchrun.sh -c experiments/tita/paper.yaml --exp.name=first
#
# On several, run the same on each of them, with the address of one of them, and a folder of runs that all see:
#
#   NODES=2 GPUS=8 HEAD=node1:29400 experiments/cluster/torchrun.sh -c experiments/tita/paper.yaml --exp.name=first
#
# Run again after a stop by Ctrl-C, SIGTERM or a crash, it goes on. On the CPU GPUS counts processes: add
# --trainer.accelerator=cpu.
set -eu
nodes=${NODES:-1}
processes=${GPUS:-1}
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

exec torchrun \
  --nnodes="$nodes" \
  --nproc-per-node="$processes" \
  --rdzv-backend=c10d \
  --rdzv-endpoint="${HEAD:-localhost:0}" \
  --rdzv-id=fusion_lab \
  -m fusion_lab.cli.main fit "$@" \
  --exp.auto_resume=true \
  --trainer.num_nodes="$nodes" \
  --trainer.devices="$processes"
