# Every recipe is one script; scripts/env.sh says where things lie. Results: demo/ and docs/results/.
DATA ?= ../shared/data

.PHONY: help setup build install test lint demo test-cuda bench-cuda test-camera test-arm test-cluster package test-package soak memcheck fuzz bench bench-speed clean

help:           ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /  make \1\t/p' Makefile | expand -t 24

setup:          ## install what lic needs (Debian 12, root or sudo); twice is harmless
	@scripts/setup

build: setup    ## the plugin and the tools, in release
	@scripts/build

install: build  ## the plugin into the user's GStreamer (~/.local/share/gstreamer-1.0/plugins)
	@scripts/install

test:           ## everything that CI checks: no GPU, no network but loopback
	@scripts/test

lint:           ## rustfmt and clippy, where they are installed
	@scripts/lint

demo:           ## a real clip through licenc ! zenohsink and back, beside JPEG and x264: look into demo/
	@scripts/setup demo && scripts/build && scripts/demo

test-camera:    ## the verbatim camera line on a real V4L2 device, in a QEMU guest
	@scripts/setup && scripts/build && scripts/test-camera

test-cluster:   ## recordings transcoded by two Ray workers, one of which is killed
	@scripts/setup cluster && scripts/build && examples/cluster/check

test-arm:       ## kernels and codec for 64-bit ARM, under qemu-user: NEON twins, golden streams, real clips
	@scripts/setup arm && scripts/build && scripts/test-arm "$(DATA)"

test-cuda:      ## every CUDA kernel on this machine's GPU against the CPU's functions (fails without one)
	@scripts/setup && scripts/cuda test

bench-cuda:     ## how fast they are, against what memory and tensor cores can do (fails without a GPU)
	@scripts/setup && scripts/cuda bench

package:        ## Debian packages for amd64 and arm64, with ONNX Runtime and licence texts
	@scripts/setup arm package && scripts/package amd64 arm64

test-package: package ## the amd64 one in a clean Debian made by debootstrap, the arm64 one under qemu-user
	@scripts/test-package && scripts/test-package arm64

soak:           ## a million mutants, outages and restarts, an hour of sending with receivers restarted (SOAK_MINUTES=60), 20,000 frames under limits; log in docs/results
	@scripts/setup demo && scripts/build && scripts/soak && scripts/soak-caps

memcheck:       ## kernels and codec under AddressSanitizer, kernels under Miri (needs rustup's nightly with miri and rust-src)
	@scripts/memcheck

fuzz:           ## the fuzz targets of fuzz/ for FUZZ_SECONDS=60 each
	@scripts/fuzz

bench:          ## every rate-distortion and speed table into docs/results (hours; DATA=FOLDER)
	@scripts/setup bench && scripts/build && benches/tables --data "$(DATA)"

bench-speed:    ## only the speed table, into docs/results
	@scripts/setup bench && scripts/build && benches/tables --data "$(DATA)" speed

clean:          ## what was built and shown; downloads in the cache are kept
	@scripts/clean
