#!/usr/bin/env bash
# Tables 4, 5 and 6 of the paper on NYUDv2 with the mobile encoder, three seeds each, on a GPU: 37 rows.
#
#   training/ablation_session.sh data/nyudv2 runs/ablation
#
# Interrupted, the same line goes on in the row that it was in. The tables are runs/ablation/table{4,5,6}.md.
set -euo pipefail
DATA=${1:?folder with NYUDv2, as asymfusion prepare nyudv2 makes it}
OUTPUT=${2:?folder for the runs and the tables}

for table in table5 table4 table6; do
    asymfusion ablate "$table" --data "$DATA" --output "$OUTPUT" --device cuda --hold-frames --seeds 0 1 2
done
