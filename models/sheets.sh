#!/bin/sh
# Draws README's contact sheets with the shipped checkpoint, by ./diffuse (DIFFUSE) and ImageMagick's montage:
#   models/prompts.jpg      subjects down, styles across
#   models/schedulers.jpg   one prompt and seed under every scheduler
#   models/images.jpg       a picture, turned into another one, and with a part of it painted anew
set -eu
cd "$(dirname "$0")/.."
DIFFUSE=${DIFFUSE:-./diffuse}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

draw() { "$DIFFUSE" -q --device cpu -m models/doodle "$@"; }

n=10
for subject in 'a brown squirrel' 'a red cat' 'a blue bird' 'a purple butterfly' 'an orange boat' 'a yellow flower'; do
    for style in '' 'as a line drawing' 'as pixel art' 'in watercolour' 'at night' 'in Picasso style' 'as pop art' 'in crayon'; do
        n=$((n + 1))
        draw "$subject $style" -s 7 -o "$work/$n.png" >/dev/null
    done
done
montage "$work"/*.png -tile 8x -geometry +2+2 -quality 88 models/prompts.jpg
rm "$work"/*.png

for scheduler in $("$DIFFUSE" --list schedulers | awk '!/^edm_/ {print $1}'); do # EDM's are for its own models
    draw 'a red rocket in Picasso style' -s 4 -x "$scheduler" -o "$work/$scheduler.png" >/dev/null
done
montage -font DejaVu-Sans -pointsize 13 -label '%t' "$work"/*.png -tile 8x -geometry +2+2 -quality 88 models/schedulers.jpg

rm "$work"/*.png

draw 'a red house' -s 7 -o "$work/1.png" >/dev/null
draw -i "$work/1.png" --strength 0.75 'a red house as pop art' -s 1 -o "$work/2.png" >/dev/null
cp models/mask.png "$work/3.png"
draw -i "$work/1.png" --mask "$work/3.png" --mask-crop 8 'a blue bird' -s 1 -o "$work/4.png" >/dev/null
montage "$work"/*.png -tile 4x -geometry +2+2 -quality 88 models/images.jpg
