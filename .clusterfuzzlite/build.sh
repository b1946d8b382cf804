#!/bin/sh -eu
# What ClusterFuzzLite calls to have the fuzz targets built into $OUT.
fuzz/pack.sh "$OUT"
