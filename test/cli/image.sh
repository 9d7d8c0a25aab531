#!/bin/sh
# -i and --mask: what they need, what they refuse, and that nothing asked for is passed over.
. "$(dirname "$0")/common"

run -m "$MODEL" "a fox" -s 1 --steps 2 -W 72 -H 56 -f -o in.png
expect_code 0
# the size is the picture's; another seed draws another picture
run -m "$MODEL" -i in.png "a fox" -s 1 --steps 4 --strength 0.5 --metadata none -f -o a.png
expect_code 0
run -m "$MODEL" -i in.png "a fox" -s 2 --steps 4 --strength 0.5 -f -o b.png
expect_code 0
[ "$(pngcheck a.png | grep -c '72x56')" -eq 1 ] || fail 'not of the size of the picture'
! cmp -s a.png b.png || fail 'the seed has no effect'
# - is standard input
"$DIFFUSE" -m "$MODEL" -i - "a fox" -s 1 --steps 4 --strength 0.5 --metadata none -f -o c.png <in.png >out 2>err || fail 'standard input is not read'
cmp -s a.png c.png || fail 'another picture from standard input'
run -m "$MODEL" -i in.png --mask in.png "a fox" -s 1 --steps 2 -f -o d.png
expect_code 0
run -m "$MODEL" -i in.png --mask in.png --invert-mask "a fox" -s 1 --steps 2 -f -o e.png
expect_code 0
! cmp -s d.png e.png || fail '--invert-mask has no effect'
[ ! -s err ] || fail 'a mask of the same shape is remarked upon'
# a mask of another shape is stretched, as diffusers does: that is said
run -m "$MODEL" -s 1 --steps 1 -W 64 -H 64 -f -o square.png "a fox"
run -m "$MODEL" -i in.png --mask square.png "a fox" -s 1 --steps 2 -f -o f.png
expect_code 0
grep -q '^diffuse: warning: square.png: 64 x 64, of another shape than the picture, 72 x 56: each is brought to 72 x 56 by itself' err || fail 'the shape of the mask is not said'

run -m "$MODEL" --mask in.png "a fox" -o x.png
expect_code 2
run -m "$MODEL" -i - - -o x.png <in.png
expect_error 2 'diffuse: --image and the prompt: both read standard input'
run -m "$MODEL" -i in.png --mask - - -o x.png <in.png
expect_error 2 'diffuse: --mask and the prompt: both read standard input'
printf '\211PNG\r\n\032\n\0\0\0\rIHDR\0\0\0\001\0\0\0\001\010\0\0\0\0\072\176\233\125\0\0\0\nIDAT\170\332\143\370\017\0\001\001\001\0\034\260\214\231\0\0\0\0IEND\256B\140\202' >white.png
run -m "$MODEL" -i white.png -W 64 -H 64 --mask white.png --invert-mask --mask-crop 8 "a fox" -o x.png
expect_error 65 'diffuse: white.png: the mask is all white, and --invert-mask: there is nothing to paint anew'
run -m "$MODEL" --strength 0.5 "a fox" -o x.png
expect_code 2
# the mask's surroundings alone: the rest is the picture's, to the last bit but for the soft edge
run -m "$MODEL" -i in.png --mask in.png --mask-crop 8 "a fox" -s 1 --steps 2 -f -o crop.png
expect_code 0
[ "$(pngcheck crop.png | grep -c '72x56')" -eq 1 ] || fail 'not of the size of the picture'
run --verify crop.png -m "$MODEL"
expect_code 0
run -m "$MODEL" -i in.png --mask in.png --mask-crop 8 --save-every 1 "a fox" -s 1 --steps 2 -f -o way.png
expect_code 0
[ "$(pngcheck way-step0001.png | grep -c '72x56')" -eq 1 ] || fail 'the picture on the way is of another size'
run -m "$MODEL" -i in.png --mask-crop 8 "a fox" -o x.png
expect_code 2
run -m "$MODEL" -i in.png --mask in.png --mask-crop 8 --resize crop "a fox" -o x.png
expect_code 2
run -m "$MODEL" "a fox" -s 1 --steps 1 -W 64 -H 56 -f -o narrow.png
run -m "$MODEL" -i in.png --mask narrow.png --mask-crop 8 "a fox" -o x.png
expect_code 65
grep -q 'narrow.png: 64 x 56: --mask-crop wants a mask of the picture.s size, 72 x 56' err || fail 'another message'
run -m "$MODEL" -i in.png --mask narrow.png --resize crop-to-multiple "a fox" -o x.png
expect_code 65
run -m "$MODEL" -i in.png --resize crop-to-multiple -W 64 "a fox" -o x.png
expect_code 2

# --resize: what it has no effect on is said, the default's name too, and a picture's settings are no such word.
run -m "$MODEL" -i in.png "a fox" -s 1 --steps 2 -f -o plain.png
run -m "$MODEL" --from plain.png --mask in.png --mask-crop 8 --dry-run -o x.png
expect_code 0
run -m "$MODEL" -i in.png --mask in.png --mask-crop 8 --resize stretch "a fox" -o x.png
expect_error 2 'diffuse: --resize: with --mask-crop it is always fill'
run -m "$MODEL" --from way.png --resize stretch -o x.png
expect_error 2 'diffuse: --resize: with --mask-crop it is always fill'
for option in --invert-mask '--mask-blur 3' '--resize crop' '--resize stretch' '--mask-crop 8'; do
    run -m "$MODEL" $option "a fox" -o x.png
    expect_code 2
done
what='a mask from standard input, with metadata'
"$DIFFUSE" --device cpu -m "$MODEL" -i in.png --mask - "a fox" -s 1 --steps 2 -f -o piped.png <in.png >out 2>err
code=$?
expect_code 0
grep -aq '"request"' piped.png && fail 'a hash of a request whose mask nobody can look at again'
run -m "$MODEL" -i - --mask - "a fox" -o x.png
expect_code 2
run -m "$MODEL" -i in.png --invert-mask "a fox" -o x.png
expect_code 2
run -m "$MODEL" -i in.png --mask-blur 3 "a fox" -o x.png
expect_code 2
run -m "$MODEL" -i in.png --strength 0.01 --steps 4 "a fox" -o x.png
expect_code 2
run -m "$MODEL" -i missing.png "a fox" -o x.png
expect_code 66
echo 'no picture' >text.png
run -m "$MODEL" -i text.png "a fox" -o x.png
expect_code 65
[ ! -e x.png ] || fail 'a picture was written'
finish
