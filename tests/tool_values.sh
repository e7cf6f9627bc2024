#!/bin/sh
# The numbers that the verbs of the tool write, held against arithmetic done here in awk: tool_values.sh [./vdi]. Prints
# "N passed, N failed"; needs nothing but the tool, awk, od and a shell.
# shellcheck source=tests/shell.sh
. "$(dirname "$0")/shell.sh"

# array FILE SHAPE NUMBERS...: a .npy of float64, written by hand; nan is a missing value
array() {
    file=$1 shape=$2
    shift 2
    {
        printf '\223NUMPY\001\000v\000%-117s\n' "{'descr': '<f8', 'fortran_order': False, 'shape': $shape, }"
        # shellcheck disable=SC2059 # the bytes are the format
        printf "$(echo "$*" | awk '{ for (k = 1; k <= NF; k++) printf "%s", bytes($k) }
            function bytes(x,   s, e, m, i, b) {
                if (x == "nan") return "\\000\\000\\000\\000\\000\\000\\370\\177"
                x += 0
                if (x == 0) return "\\000\\000\\000\\000\\000\\000\\000\\000"
                s = x < 0; x = s ? -x : x
                for (e = 1023; x >= 2; e++) x /= 2
                for (; x < 1; e--) x *= 2
                m = (x - 1) * 4503599627370496
                for (i = 0; i < 6; i++) { b = b sprintf("\\%03o", m % 256); m = int(m / 256) }
                return b sprintf("\\%03o\\%03o", m + e % 16 * 16, s * 128 + int(e / 16))
            }')"
    } > "$file"
}
# numbers FILE: those of a .npy of float64, one a line
numbers() {
    [ ! -s "$1" ] || od -An -v -t f8 -j $(($(od -An -t u2 -j 8 -N 2 "$1") + 10)) "$1" | tr -s ' ' '\n' | sed "/^$/d"
}
# agree WHAT GOT WANTED [TOLERANCE]: two files of numbers, one a line, as many and as they should be (absolute, or of numbers above 1
# relative)
agree() {
    said=$(paste "$2" "$3" | awk -v tol="${4:-1e-11}" 'NF != 2 { print "line " NR ": of one more than of the other"; exit }
        { e = $1 - $2; e = e < 0 ? -e : e; w = $2 < 0 ? -$2 : $2
          if ($1 !~ /^[-+0-9.e]+$/ || !(e <= tol * (w > 1 ? w : 1))) { print "number " NR " is " $1 ", expected " $2; exit } }
        END { if (!NR) print "no numbers" }')
    [ -z "$said" ]
    ok "$1: $said" $?
}
# has WHAT FILE KEY=VALUE... [TOLERANCE]: numbers of a line of JSON
has() {
    what=$1 from=$2
    shift 2
    for pair; do
        sed -n "s/.*\"${pair%%=*}\": \([^,}]*\).*/\1/p" "$from" | tail -n 1 > has.got
        echo "${pair#*=}" > has.wanted
        agree "$what, ${pair%%=*}" has.got has.wanted "${tolerance:-1e-9}"
    done
}
holds() { # holds WHAT FILE... CONDITION: of awk at the end of the files
    what=$1 condition=$2
    shift 2
    said=$(awk "$condition" "$@")
    [ "$said" = yes ]
    ok "$what: $said" $?
}

# ---- blocktri: the dense matrix of 8 by 8 ------------------------------------------------------------------------------------

D='6 1 1 5  7 -2 -2 6  5 1 1 8  9 3 3 4' E='1 -2 0 1  2 1 -1 1  0.5 -1.25 2 0.125' H='1 -2 3 0.5 -1 2 4 -3' EPS='0.5 -1 2 1 -0.25 3 1 -2'
array D.npy '(4, 2, 2)' "$D"
array E.npy '(3, 2, 2)' "$E"
array h.npy '(4, 2)' "$H"
array eps.npy '(4, 2)' "$EPS"
echo "$D $E $H $EPS" | awk '{
    n = 8
    for (t = 0; t < 4; t++) for (i = 0; i < 2; i++) for (j = 0; j < 2; j++) {
        J[2 * t + i, 2 * t + j] = $(1 + 4 * t + 2 * i + j)
        if (t < 3) J[2 * t + 2 + i, 2 * t + j] = J[2 * t + j, 2 * t + 2 + i] = $(17 + 4 * t + 2 * i + j)
    }
    for (i = 0; i < n; i++) { h[i] = $(29 + i); eps[i] = $(37 + i) }
    for (j = 0; j < n; j++) for (i = j; i < n; i++) { # Cholesky
        s = J[i, j]; for (k = 0; k < j; k++) s -= L[i, k] * L[j, k]
        L[i, j] = i == j ? sqrt(s) : s / L[j, j]
    }
    for (i = 0; i < n; i++) logdet += 2 * log(L[i, i])
    for (c = 0; c < n; c++) { # columns of the inverse of L
        for (i = 0; i < n; i++) { s = i == c; for (k = 0; k < i; k++) s -= L[i, k] * V[k, c]; V[i, c] = s / L[i, i] }
    }
    for (i = 0; i < n; i++) for (j = 0; j < n; j++) { s = 0; for (k = 0; k < n; k++) s += V[k, i] * V[k, j]; S[i, j] = s }
    for (t = 0; t < 4; t++) for (i = 0; i < 2; i++) for (j = 0; j < 2; j++) {
        printf "%.17g\n", L[2 * t + i, 2 * t + j] + 0 > "L.ref"
        printf "%.17g\n", S[2 * t + i, 2 * t + j] > "S.ref"
        if (t < 3) printf "%.17g\n", L[2 * t + 2 + i, 2 * t + j] > "M.ref"
        if (t < 3) printf "%.17g\n", S[2 * t + 2 + i, 2 * t + j] > "O.ref"
    }
    for (i = 0; i < n; i++) {
        x = z = 0; for (j = 0; j < n; j++) { x += S[i, j] * h[j]; z += V[j, i] * eps[j] }
        printf "%.17g\n", x > "solve.ref"
        printf "%.17g\n", z > "sample.ref"
    }
    printf "%.17g\n", logdet > "logdet.ref"
}'
exits 0 blocktri "$vdi" blocktri D.npy E.npy --rhs h.npy --eps eps.npy --out bt --json
for f in L M S O solve sample logdet; do
    numbers bt/$f.npy > got
    agree "blocktri, $f" got $f.ref
done
has blocktri out.txt T=4 d=2 "logdet=$(cat logdet.ref)"
exits 0 'blocktri, drawn' "$vdi" blocktri D.npy E.npy --seed 3 --out bt3 --quiet
exits 0 'blocktri, drawn again' "$vdi" blocktri D.npy E.npy --seed 3 --out bt4 --quiet
exits 0 'blocktri, another seed' "$vdi" blocktri D.npy E.npy --seed 4 --out bt5 --quiet
same bt3/sample.npy bt4/sample.npy
! cmp -s bt3/sample.npy bt5/sample.npy
ok 'another seed is another sample' $?
array D.npy '(4, 2, 2)' '6 1 1 5  7 -2 -2 6  5 9 9 8  9 3 3 4'
exits 1 'a matrix that is not positive definite' "$vdi" blocktri D.npy E.npy --out e
exits 1 'blocks that do not fit' "$vdi" blocktri D.npy D.npy --out e

# ---- lds: a dense Gaussian of all bins ---------------------------------------------------------------------------------------

mkdir model
A='0.5 -1 0.25 0.75' C='1 2 0 -1' Q='2 1 1 3' R='3 1 1 2' b='1 -2' x0='1 2' Q0='4 -1 -1 2' B='1 -0.5' DU='2 1'
array model/A.npy '(2, 2)' "$A"
array model/C.npy '(2, 2)' "$C"
array model/Q.npy '(2, 2)' "$Q"
array model/R.npy '(2, 2)' "$R"
array model/b.npy '(2,)' "$b"
array model/x0.npy '(2,)' "$x0"
array model/Q0.npy '(2, 2)' "$Q0"
cp -r model driven
array driven/B.npy '(2, 1)' "$B"
array driven/D.npy '(2, 1)' "$DU"
# two trials of four bins, the second of them another in its inputs and in what is missing; two bins ahead
Y='3 -1 nan 2 5 -4 nan nan  2 1 4 -3 nan 0.5 -2 6' U='1 0 -1 2  0.5 2 0 -1' AHEAD='1 -2  0.5 3'
array y.npy '(2, 4, 2)' "$Y"
array u.npy '(2, 4, 1)' "$U"
array ahead.npy '(2, 2, 1)' "$AHEAD"
cat > dense.awk << 'END'
# moments of z in all bins given some of y, by conditioning one Gaussian of 12 + 12 numbers; per trial
function solve_setup(n,   i, j, k, s) { # K = Cholesky of G
    for (j = 0; j < n; j++) for (i = j; i < n; i++) {
        s = G[i, j]; for (k = 0; k < j; k++) s -= K[i, k] * K[j, k]
        K[i, j] = i == j ? sqrt(s) : s / K[j, j]
    }
}
function condition(upto,   n, i, j, k, t, s, x) { # fills M (mean), P (covariance) of z; ll
    n = 0
    for (t = 0; t < upto; t++) for (j = 0; j < 2; j++) if (y[t, j] != "nan") { seen[n] = 2 * t + j; n++ }
    for (i = 0; i < n; i++) for (j = 0; j < n; j++) G[i, j] = YY[seen[i], seen[j]]
    solve_setup(n)
    ll = 0
    for (i = 0; i < n; i++) { # w = K^-1 (y - mean)
        t = int(seen[i] / 2); s = y[t, seen[i] % 2] - my[seen[i]]
        for (k = 0; k < i; k++) s -= K[i, k] * w[k]
        w[i] = s / K[i, i]
        ll -= 0.5 * (w[i] * w[i] + log(2 * PI)) + log(K[i, i])
    }
    for (x = 0; x < 2 * BINS; x++) for (i = 0; i < n; i++) { # F = K^-1 Cov(y, z)
        s = YZ[seen[i], x]; for (k = 0; k < i; k++) s -= K[i, k] * F[k, x]; F[i, x] = s / K[i, i]
    }
    for (i = 0; i < 2 * BINS; i++) {
        M[i] = mz[i]; for (k = 0; k < n; k++) M[i] += F[k, i] * w[k]
        for (j = 0; j < 2 * BINS; j++) { P[i, j] = ZZ[i, j]; for (k = 0; k < n; k++) P[i, j] -= F[k, i] * F[k, j] }
    }
}
function put(name, x) { printf "%.17g\n", x > (name ".ref") }
function block(name, s, t,   i, j) { for (i = 0; i < 2; i++) for (j = 0; j < 2; j++) put(name, P[2 * s + i, 2 * t + j]) }
function seen_of(name, t,   i, j, k, l, s) { # C P C' + R, C M + b + D u
    for (i = 0; i < 2; i++) {
        s = b[i] + D[i] * u[t]; for (k = 0; k < 2; k++) s += C[2 * i + k] * M[2 * t + k]
        put(name "m", s)
        for (j = 0; j < 2; j++) {
            s = R[2 * i + j]
            for (k = 0; k < 2; k++) for (l = 0; l < 2; l++) s += C[2 * i + k] * P[2 * t + k, 2 * t + l] * C[2 * j + l]
            put(name "c", s)
            if (i == j) put(name "v", s)
        }
    }
}
function prior(   t, s, i, j, k, l, x) {
    for (i = 0; i < 2; i++) { mz[i] = x0[i]; for (j = 0; j < 2; j++) ZZ[i, j] = Q0[2 * i + j] }
    for (t = 1; t < BINS; t++) {
        for (i = 0; i < 2; i++) {
            mz[2 * t + i] = B[i] * u[t]
            for (k = 0; k < 2; k++) mz[2 * t + i] += A[2 * i + k] * mz[2 * t - 2 + k]
            for (s = 0; s < t; s++) for (j = 0; j < 2; j++) {
                x = 0; for (k = 0; k < 2; k++) x += A[2 * i + k] * ZZ[2 * t - 2 + k, 2 * s + j]
                ZZ[2 * t + i, 2 * s + j] = ZZ[2 * s + j, 2 * t + i] = x
            }
        }
        for (i = 0; i < 2; i++) for (j = 0; j < 2; j++) {
            x = Q[2 * i + j]; for (k = 0; k < 2; k++) x += ZZ[2 * t + i, 2 * t - 2 + k] * A[2 * j + k]
            ZZ[2 * t + i, 2 * t + j] = x
        }
    }
    for (t = 0; t < BINS; t++) for (i = 0; i < 2; i++) {
        my[2 * t + i] = b[i] + D[i] * u[t]; for (k = 0; k < 2; k++) my[2 * t + i] += C[2 * i + k] * mz[2 * t + k]
        for (j = 0; j < 2 * BINS; j++) { x = 0; for (k = 0; k < 2; k++) x += C[2 * i + k] * ZZ[2 * t + k, j]; YZ[2 * t + i, j] = x }
    }
    for (i = 0; i < 2 * BINS; i++) for (t = 0; t < BINS; t++) for (j = 0; j < 2; j++) {
        x = int(i / 2) == t ? R[2 * (i % 2) + j] : 0
        for (k = 0; k < 2; k++) x += YZ[i, 2 * t + k] * C[2 * j + k]
        YY[i, 2 * t + j] = x
    }
}
BEGIN {
    PI = atan2(0, -1); BINS = 6
    split(TEXT_A, a, " "); split(TEXT_C, c, " "); split(TEXT_Q, q, " "); split(TEXT_R, r, " "); split(TEXT_Q0, q0, " ")
    split(TEXT_b, bb, " "); split(TEXT_x0, xx, " "); split(TEXT_B, ub, " "); split(TEXT_D, ud, " ")
    for (i = 0; i < 4; i++) { A[i] = a[i + 1]; C[i] = c[i + 1]; Q[i] = q[i + 1]; R[i] = r[i + 1]; Q0[i] = q0[i + 1] }
    for (i = 0; i < 2; i++) { b[i] = bb[i + 1]; x0[i] = xx[i + 1]; B[i] = ub[i + 1] * INPUTS; D[i] = ud[i + 1] * INPUTS }
    split(TEXT_Y, yy, " "); split(TEXT_U, uu, " "); split(TEXT_AHEAD, au, " ")
    for (trial = 0; trial < 2; trial++) {
        for (t = 0; t < 6; t++) {
            u[t] = t < 4 ? uu[1 + 4 * trial + t] : au[1 + 2 * trial + t - 4]
            for (j = 0; j < 2; j++) y[t, j] = t < 4 ? yy[1 + 8 * trial + 2 * t + j] : "nan"
        }
        prior()
        for (t = 0; t < 4; t++) {
            condition(t); for (i = 0; i < 2; i++) put("mp", M[2 * t + i]); block("Pp", t, t)
            condition(t + 1); for (i = 0; i < 2; i++) put("mf", M[2 * t + i]); block("Pf", t, t)
        }
        condition(4)
        put("ll", ll); total += ll
        for (t = 0; t < 4; t++) {
            for (i = 0; i < 2; i++) put("ms", M[2 * t + i])
            block("Ps", t, t); if (t < 3) block("Pc", t + 1, t)
            seen_of("s", t)
            if (t < 3) for (i = 0; i < 4; i++) for (j = 0; j < 4; j++) put("pair" trial t, P[2 * t + i, 2 * t + j])
        }
        for (t = 4; t < 6; t++) { for (i = 0; i < 2; i++) put("zm", M[2 * t + i]); block("zc", t, t); seen_of("y", t) }
    }
    put("total", total)
}
END
dense() { # dense INPUTS: the references, into *.ref
    rm -f ./*.ref
    awk -v INPUTS="$1" -v TEXT_A="$A" -v TEXT_C="$C" -v TEXT_Q="$Q" -v TEXT_R="$R" -v TEXT_Q0="$Q0" -v TEXT_b="$b" -v TEXT_x0="$x0" -v TEXT_B="$B" \
        -v TEXT_D="$DU" -v TEXT_Y="$Y" -v TEXT_U="$U" -v TEXT_AHEAD="$AHEAD" -f dense.awk
}
# lds_agrees NAME FOLDER: what smooth has written
lds_agrees() {
    for f in mp mf ms Pp Pf Ps Pc ll; do
        numbers "$2/$f.npy" > got
        agree "$1, $f" got $f.ref
    done
    numbers "$2/ys.npy" > got
    agree "$1, ys" got sm.ref
    numbers "$2/yv.npy" > got
    agree "$1, yv" got sv.ref
}
dense 0
exits 0 'lds smooth' "$vdi" lds smooth y.npy --params model --out sm --quiet
lds_agrees 'lds smooth' sm
exits 0 'lds smooth by Kalman filter' "$vdi" lds smooth y.npy --params model --kalman --out smk --quiet
lds_agrees 'lds smooth by Kalman filter' smk
exits 0 'lds score' "$vdi" lds score y.npy --params model --json
has 'lds score' out.txt "log_likelihood=$(cat total.ref)" bins=7 "per_bin=$(awk '{ printf "%.17g", $1 / 7 }' total.ref)"
dense 1
exits 0 'lds smooth with inputs' "$vdi" lds smooth y.npy --params driven --inputs u.npy --out smu --quiet
lds_agrees 'lds smooth with inputs' smu
exits 0 'lds forecast' "$vdi" lds forecast y.npy --params driven --inputs u.npy --future-inputs ahead.npy --horizon 2 --out fc --quiet
for f in zm zc ym yc yv; do
    numbers fc/$f.npy > got
    agree "lds forecast, $f" got $f.ref
done
# samples of the posterior: means and covariances of neighbouring bins in both trials, each within five standard errors
exits 0 'lds sample' "$vdi" lds sample y.npy --params driven --inputs u.npy --samples 20000 --out draws --quiet
numbers draws/z.npy | awk -v bins=4 'BEGIN {
        while ((getline x < "ms.ref") > 0) m[n++] = x
        for (trial = 0; trial < 2; trial++) for (t = 0; t < 3; t++) {
            k = 0; while ((getline x < ("pair" trial t ".ref")) > 0) { P[trial, t, int(k / 4), k % 4] = x; k++ }
        }
    }
    { z[(NR - 1) % 16] = $1 - m[(NR - 1) % 16]
      if (NR % 16) next
      S++
      for (trial = 0; trial < 2; trial++) for (t = 0; t < 3; t++) for (i = 0; i < 4; i++) {
          mean[trial, t, i] += z[8 * trial + 2 * t + i]
          for (j = 0; j < 4; j++) c[trial, t, i, j] += z[8 * trial + 2 * t + i] * z[8 * trial + 2 * t + j]
      } }
    END {
        for (trial = 0; trial < 2; trial++) for (t = 0; t < 3; t++) for (i = 0; i < 4; i++) {
            e = mean[trial, t, i] / S / sqrt(P[trial, t, i, i] / S); worst = e * e > worst ? e * e : worst
            for (j = 0; j < 4; j++) {
                e = (c[trial, t, i, j] / S - P[trial, t, i, j]) / sqrt((P[trial, t, i, i] * P[trial, t, j, j] + P[trial, t, i, j] ^ 2) / S)
                worst = e * e > worst ? e * e : worst
            }
        }
        print (S == 20000 && worst < 25) ? "yes" : S " samples, " sqrt(worst) " standard errors"
    }' > verdict
holds 'lds sample, moments' '{ print }' verdict
# what the model itself draws: the last bin of each of many trials
exits 0 'lds sample of the model' "$vdi" lds sample --params model --trials 20000 --bins 3 --out drawn --quiet
numbers drawn/y.npy > drawn.txt
awk -v TEXT_Y='nan nan nan nan nan nan nan nan nan nan nan nan nan nan nan nan' -v INPUTS=0 -v TEXT_A="$A" -v TEXT_C="$C" -v TEXT_Q="$Q" -v TEXT_R="$R" \
    -v TEXT_Q0="$Q0" -v TEXT_b="$b" -v TEXT_x0="$x0" -v TEXT_B="$B" -v TEXT_D="$DU" -v TEXT_U="$U" -v TEXT_AHEAD="$AHEAD" -f dense.awk
holds 'lds sample of the model, moments' 'FILENAME == "sm.ref" { m[FNR] = $1; next } FILENAME == "sv.ref" { v[FNR] = $1; next }
    { k = (FNR - 1) % 6 + 1; s[k] += $1 - m[k]; ss[k] += ($1 - m[k]) ^ 2; n[k]++ }
    END { for (k = 1; k <= 6; k++) {
            e = s[k] / n[k] / sqrt(v[k] / n[k]); worst = e * e > worst ? e * e : worst
            e = (ss[k] / n[k] / v[k] - 1) / sqrt(2 / n[k]); worst = e * e > worst ? e * e : worst
          }
          print (n[6] == 20000 && worst < 25) ? "yes" : n[6] " trials, " sqrt(worst) " standard errors" }' sm.ref sv.ref drawn.txt

# one step of EM with A, C and b as they are: the other parameters are means of the smoother's moments
Y='3 -1 1 2 5 -4 0 1  2 1 4 -3 -1 0.5 -2 6'
array full.npy '(2, 4, 2)' "$Y"
dense 0
exits 0 'lds fit of one step' "$vdi" lds fit full.npy --init model --freeze A,C,b --q-floor 1e-9 --r-floor 1e-9 --iters 1 --out em --quiet
awk -v TEXT_A="$A" -v TEXT_C="$C" -v TEXT_b="$b" -v TEXT_Y="$Y" 'BEGIN {
    split(TEXT_A, A, " "); split(TEXT_C, C, " "); split(TEXT_b, b, " "); split(TEXT_Y, y, " ")
    while ((getline x < "ms.ref") > 0) m[n++] = x
    n = 0; while ((getline x < "Ps.ref") > 0) P[n++] = x
    n = 0; while ((getline x < "Pc.ref") > 0) O[n++] = x # of (t + 1, t)
    for (r = 0; r < 2; r++) for (i = 0; i < 2; i++) X[i] += m[8 * r + i] / 2
    for (i = 0; i < 2; i++) printf "%.17g\n", X[i] > "x0.ref"
    for (i = 0; i < 2; i++) for (j = 0; j < 2; j++) {
        q0 = q = rr = 0
        for (r = 0; r < 2; r++) {
            q0 += (P[16 * r + 2 * i + j] + (m[8 * r + i] - X[i]) * (m[8 * r + j] - X[j])) / 2
            for (t = 0; t < 4; t++) {
                z = 8 * r + 2 * t; p = 16 * r + 4 * t; o = 12 * r + 4 * (t - 1)
                ei = y[z + i + 1] - b[i + 1]; ej = y[z + j + 1] - b[j + 1]
                for (k = 0; k < 2; k++) { ei -= C[2 * i + k + 1] * m[z + k]; ej -= C[2 * j + k + 1] * m[z + k] }
                rr += ei * ej / 8
                for (k = 0; k < 2; k++) for (l = 0; l < 2; l++) rr += C[2 * i + k + 1] * P[p + 2 * k + l] * C[2 * j + l + 1] / 8
                if (!t) continue
                # E (z_t - A z_{t-1}) (z_t - A z_{t-1})
                ei = m[z + i]; ej = m[z + j]
                for (k = 0; k < 2; k++) { ei -= A[2 * i + k + 1] * m[z - 2 + k]; ej -= A[2 * j + k + 1] * m[z - 2 + k] }
                s = ei * ej + P[p + 2 * i + j]
                for (k = 0; k < 2; k++) s -= O[o + 2 * i + k] * A[2 * j + k + 1] + O[o + 2 * j + k] * A[2 * i + k + 1]
                for (k = 0; k < 2; k++) for (l = 0; l < 2; l++) s += A[2 * i + k + 1] * P[p - 4 + 2 * k + l] * A[2 * j + l + 1]
                q += s / 6
            }
        }
        printf "%.17g\n", q0 > "Q0.ref"; printf "%.17g\n", q > "Q.ref"; printf "%.17g\n", rr > "R.ref"
    }
}'
for f in x0 Q0 Q R; do
    numbers em/$f.npy > got
    agree "one step of EM, $f" got $f.ref
done
for f in A C b; do same model/$f.npy em/$f.npy; done
exits 0 'lds score of the step' "$vdi" lds score full.npy --params em --json
numbers em/trace.npy > got
sed -n 's/.*"log_likelihood": \([^,}]*\).*/\1/p' out.txt | cat total.ref - > wanted
agree 'the trace of a step' got wanted 1e-9

# ---- arrays by name in an archive ------------------------------------------------------------------------------------------------

# zip NAME FILE...: stored, without compression; gzip knows the CRC
le() { # le BYTES NUMBER
    # shellcheck disable=SC2059
    printf "$(awk -v n="$1" -v x="$2" 'BEGIN { for (; n > 0; n--) { printf "\\%03o", x % 256; x = int(x / 256) } }')"
}
zip_of() {
    out=$1 count=0 offset=0
    : > "$out"
    : > directory.bin
    shift
    for f; do
        size=$(($(wc -c < "$f")))
        gzip -c "$f" | tail -c 8 | head -c 4 > crc.bin
        { cat crc.bin; le 4 $size; le 4 $size; le 2 ${#f}; le 2 0; } > sizes.bin
        { printf 'PK\003\004\024\000\000\000\000\000\000\000\000\000'; cat sizes.bin; printf %s "$f"; cat "$f"; } >> "$out"
        { printf 'PK\001\002\024\000\024\000\000\000\000\000\000\000\000\000'; cat sizes.bin; le 2 0; le 2 0; le 2 0; le 4 0; le 4 $offset; printf %s "$f"; } >> directory.bin
        offset=$((offset + 30 + ${#f} + size)) count=$((count + 1))
    done
    cat directory.bin >> "$out"
    { printf 'PK\005\006'; le 4 0; le 2 $count; le 2 $count; le 4 $(($(wc -c < directory.bin))); le 4 $offset; le 2 0; } >> "$out"
}
zip_of all.npz h.npy full.npy u.npy
exits 0 'a fit of an array in an archive' "$vdi" lds fit all.npz:full -d 1 --iters 3 --out fit-npz --quiet
exits 0 'a fit of the array' "$vdi" lds fit full.npy -d 1 --iters 3 --out fit-npy --quiet
for f in trace C Q; do same fit-npz/$f.npy fit-npy/$f.npy; done
exits 0 'inputs in an archive' "$vdi" lds smooth y.npy --params driven --inputs all.npz:u --out smz --quiet
same smu/ms.npy smz/ms.npy
exits 1 'no such array in the archive' "$vdi" lds fit all.npz:nothing -d 1 --out e
grep -q 'nothing' err.txt
ok "the message names the array: $said" $?
exits 1 'an archive of several, none of them named' "$vdi" lds fit all.npz -d 1 --out e

# ---- spikes: traces by the equations of docs/guide/calcium.md --------------------------------------------------------------------

cat > calcium.awk << 'END'
# the fluorescence without noise, from spikes.txt and the row of params.csv, one number a line
function min(a, b) { return a < b ? a : b }
BEGIN {
    FS = ","; getline < PARAMS; for (i = 1; i <= NF; i++) name[i] = $i
    getline < PARAMS; for (i = 1; i <= NF; i++) p[name[i]] = $i
    delta = 1 / 30
    if (MODEL == "mlphys") { c0n = p["c0"] ^ p["hill"]; u = 0; d = 0 }
    while ((getline s < SPIKES) > 0) {
        if (MODEL == "mlphys") {
            c = s + exp(-delta / p["tau"]) * c
            u = (p["c0"] + c) ^ p["hill"] - c0n
            a = 1 + p["gamma"] * u
            d = u / a + (d - u / a) * exp(-a * delta / p["kappa"])
        } else {
            c = s + p["gamma"] * c
            if (MODEL == "linear") d = c
            if (MODEL == "ar2") d = (1 - p["rho"]) * c + p["rho"] * d
            if (MODEL == "scdf") { m = min(d, p["dmax"]); d = p["eta"] * c ^ (1 + p["zeta"]) * (p["dmax"] - m) + p["kappa"] * m }
        }
        printf "%.17g\n", p["alpha"] * d + p["beta"]
    }
}
END
for model in linear ar2 scdf mlphys; do
    exits 0 "simulate $model" "$vdi" spikes simulate --model $model --cells 1 --traces 1 --frames 3000 --fps 30 --seed 7 --out sim-$model --json
    for f in traces clean spikes; do numbers sim-$model/$f.npy > $f.txt; done
    has "simulate $model" out.txt "spikes=$(awk '{ n += $1 } END { print n }' spikes.txt)"
    awk -v MODEL=$model -v PARAMS=sim-$model/params.csv -v SPIKES=spikes.txt -f calcium.awk > wanted
    agree "$model without noise" clean.txt wanted 1e-6
    paste -d, traces.txt clean.txt > both.txt
    holds "noise of $model" "BEGIN { FS = \",\" } FNR == 1 && NR == 1 { next } NR == 2 { sd = \$NF; next } { n++; s += \$1 - \$2; ss += (\$1 - \$2) ^ 2 }
        END { e = (ss / n / sd ^ 2 - 1) / sqrt(2 / n); m = s / n / (sd / sqrt(n)); print (n == 3000 && e * e < 25 && m * m < 25) ? \"yes\" : n \" \" e \" \" m }" \
        sim-$model/params.csv both.txt
done

# ---- spikes infer: OASIS takes a trace without noise apart, exactly --------------------------------------------------------------

awk 'BEGIN { d = exp(-1 / (30 * 0.5)); r = exp(-1 / (30 * 0.06))
    for (t = 0; t < 300; t++) {
        s = (t % 37 == 11) * (1 + t % 3); c = d * c + s; f = r * f + c
        printf "%.17g\n", 5 + 2 * c > "ar1.csv"; printf "%.17g\n", 5 + 2 * f > "ar2.csv"; print 2 * s > "jumps.txt"; print s > "counts.txt"
    } }'
for order in 1 2; do
    method=oasis rise=
    [ $order = 1 ] || { method=oasis-ar2 rise='--tau-r 0.06'; }
    for how in 'jumps --lambda 0' 'counts --lambda 0 --spike-size 2' 'jumps --penalty l0 --s-min 0.5'; do
        reference=${how%% *}.txt options=${how#* }
        # shellcheck disable=SC2086
        exits 0 "$method $options" "$vdi" spikes infer ar$order.csv --fps 30 --method $method --tau-d 0.5 $rise --baseline 5 --noise 0.1 $options --out oa --quiet
        numbers oa/spikes.npy > got
        agree "$method $options, spikes" got "$reference" 1e-6
        numbers oa/denoised.npy > got
        agree "$method $options, denoised" got ar$order.csv 1e-6
    done
    holds "$method, params.csv" 'BEGIN { FS = "," } NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        function near(name, x) { x -= $at[name]; return x * x < 1e-18 }
        { print near("baseline_trace_units", 5) && near("noise_trace_units", 0.1) && near("tau_decay_s", 0.5) && near("s_min_trace_units", 0.5) &&
            $at["events"] == 8 ? "yes" : $0 }' oa/params.csv
done
# the first order of lambda: a spike is lower by what the slope of the penalty, 1 - d a frame, weighs over its decay
exits 0 'oasis with a penalty' "$vdi" spikes infer ar1.csv --fps 30 --method oasis --tau-d 0.5 --baseline 5 --noise 0.1 --lambda 0.1 --out oa --quiet
numbers oa/spikes.npy | sed -n 12p > got
awk 'BEGIN { d = exp(-1 / 15); n = 37 # the first pool with calcium ends with the next spike
    for (k = 0; k < n; k++) { den += d ^ (2 * k); num += d ^ k * (2 * 3 * d ^ k - 0.1 * (1 - d)) }
    printf "%.17g\n", num / den }' > wanted
agree 'oasis with a penalty, the first spike' got wanted 1e-9

# ---- spikes infer: the shipped network ---------------------------------------------------------------------------------------------

exits 0 'cells to infer' "$vdi" spikes simulate --model linear --cells 2 --traces 1 --frames 1800 --fps 30 --seed 4 --out cells --quiet
exits 0 'the shipped network' "$vdi" spikes infer cells/traces.npy --fps 30 --grid 60 --samples 500 --report 0 --out net --json
for f in spikes deviation probability denoised grid samples; do numbers net/$f.npy > $f.txt; done
for f in spikes traces clean; do numbers cells/$f.npy > true-$f.txt; done
has 'the shipped network' out.txt "spikes=$(awk '{ n += $1 } END { printf "%.17g", n }' spikes.txt)" neurons=2 frames=1800
awk -F, 'NR > 1 { print $4 }' net/params.csv > got
awk '{ n[int((NR - 1) / 1800)] += $1 } END { printf "%.17g\n%.17g\n", n[0], n[1] }' spikes.txt > wanted
agree 'params.csv, expected_spikes' got wanted 1e-9
# the decay of its quality is that of the simulated cell, by a third; the columns are found by their names
awk -F, 'FNR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
    FILENAME ~ /^cells/ { tau[$at["cell"]] = -1 / (30 * log($at["gamma"])); next }
    { n++; q = $at["decay_s"] / tau[$at["neuron"]]; good += q > 0.67 && q < 1.5 }
    END { exit !(n == 2 && good == 2) }' cells/params.csv net/quality.csv
ok 'decays of quality.csv' $?
# a frame of 30 Hz takes its own sample of the 60 Hz and half of either neighbour
awk 'FILENAME == "grid.txt" { g[FNR - 1] = $1; next } { i = int((FNR - 1) / 1800); t = (FNR - 1) % 1800; b = i * 3599 + 2 * t
    printf "%.17g\n", g[b] + 0.5 * ((t ? g[b - 1] : 0) + (t < 1799 ? g[b + 1] : 0)) }' grid.txt spikes.txt > wanted
agree 'spikes are sums of the grid' spikes.txt wanted 1e-12
holds 'samples have the mean, the deviation and the probability that are told' 'FILENAME == "spikes.txt" { m[FNR - 1] = $1; next }
    FILENAME == "deviation.txt" { d[FNR - 1] = $1; next } FILENAME == "probability.txt" { p[FNR - 1] = $1; next }
    { k = (FNR - 1) % 3600; s[k] += $1; ss[k] += ($1 - m[k]) ^ 2; some[k] += $1 > 0 }
    END { S = FNR / 3600
          for (k = 0; k < 3600; k++) {
              z += (s[k] / S - m[k]) ^ 2 / (d[k] ^ 2 / S) / 3600; total += s[k] / S - m[k]; var += d[k] ^ 2; seen += ss[k] / S
              q += (some[k] / S - p[k]) ^ 2 / (p[k] * (1 - p[k]) / S) / 3600
              bad += p[k] > m[k] + 1e-9
          }
          good = S == 500 && z < 1.25 && z > 0.8 && q < 1.25 && q > 0.8 && total ^ 2 < 25 * var / S && (seen / var - 1) ^ 2 < 0.01 && !bad
          print good ? "yes" : S " samples, " z " " q " " total / sqrt(var / S) " " seen / var " " bad }' spikes.txt deviation.txt probability.txt samples.txt
holds 'the denoised trace is nearer to what there was without noise' 'FILENAME == "denoised.txt" { d[FNR] = $1; next } FILENAME == "true-clean.txt" { c[FNR] = $1; next }
    { a += (d[FNR] - c[FNR]) ^ 2; b += ($1 - c[FNR]) ^ 2 } END { print (a < b / 2) ? "yes" : a / FNR " and " b / FNR }' denoised.txt true-clean.txt true-traces.txt
# correlates NAME EST FRAMES: in bins of six frames with the spikes, more than the trace itself does
correlates() {
    holds "$1 finds spikes better than the trace shows them" 'function corr(x,   i, sx, sy, xx, yy, xy) {
            for (i = 0; i < n; i++) { sx += x[i]; sy += y[i]; xx += x[i] ^ 2; yy += y[i] ^ 2; xy += x[i] * y[i] }
            return (xy - sx * sy / n) / sqrt((xx - sx ^ 2 / n) * (yy - sy ^ 2 / n)) }
        { k = int((FNR - 1) / 6); if (FILENAME == "true-spikes.txt") { y[k] += $1; n = k + 1 } else if (FILENAME == "true-traces.txt") raw[k] += $1; else est[k] += $1 }
        END { a = corr(est); b = corr(raw); print (a > b && n == 600) ? "yes" : a " and " b }' true-spikes.txt true-traces.txt "$2"
}
correlates 'the shipped network' spikes.txt
# another unit, another baseline: the same spikes
awk '{ x[(NR - 1) % 1800] = x[(NR - 1) % 1800] (NR > 1800 ? "," : "") sprintf("%.17g", 20 + 3 * $1) } END { for (t = 0; t < 1800; t++) print x[t] }' true-traces.txt > unit.csv
exits 0 'traces in another unit' "$vdi" spikes infer unit.csv --fps 30 --report 0 --out unit --quiet
numbers unit/spikes.npy > got
agree 'spikes do not depend on the unit' got spikes.txt 1e-4
numbers unit/denoised.npy > got
awk '{ printf "%.17g\n", 20 + 3 * $1 }' denoised.txt > wanted
agree 'the denoised trace does' got wanted 1e-4

# ---- spikes fit: where it begins, what it learns -----------------------------------------------------------------------------------

exits 0 'a fit that hardly moves' "$vdi" spikes fit cells/traces.npy --fps 30 --init pretrained --truth cells/spikes.npy --learning-rate 1e-12 --steps 1 --out still --json
has 'a fit begins with the shipped network' out.txt "expected_before=$(awk '{ n += $1 } END { printf "%.17g", n }' spikes.txt)"
numbers still/spikes.npy > got
agree 'and stays there' got spikes.txt 1e-6
exits 0 'labels' "$vdi" spikes fit cells/traces.npy --fps 30 --init pretrained --truth cells/spikes.npy --steps "$(steps 60 2)" --out taught --quiet
numbers taught/spikes.npy > taught.txt
learns holds 'labels bring the network nearer to them' 'FILENAME == "true-spikes.txt" { y[FNR] = $1; next } FILENAME == "spikes.txt" { a += ($1 - y[FNR]) ^ 2; next }
    { b += ($1 - y[FNR]) ^ 2 } END { print (b < a) ? "yes" : b " and before " a }' true-spikes.txt spikes.txt taught.txt
exits 0 'what was taught, from its folder' "$vdi" spikes infer cells/traces.npy --fps 30 --model taught --report 0 --out again --quiet
numbers again/spikes.npy > got
agree '--model has the spikes of the fit' got taught.txt 1e-9
numbers again/denoised.npy > got
numbers taught/denoised.npy > reference
agree '--model has the denoised traces of the fit' got reference 1e-9
exits 0 'a fit without labels' "$vdi" spikes fit cells/traces.npy --fps 30 --model linear --steps "$(steps 150 10)" --batch 4 --samples 8 --out learned --json
numbers learned/spikes.npy > learned.txt
has 'a fit without labels' out.txt "expected_spikes=$(awk '{ n += $1 } END { printf "%.17g", n }' learned.txt)" "steps=$(steps 150 10)"
learns correlates 'a fit without labels' learned.txt
# the denoised trace is the fluorescence of the expected spikes, by the parameters that are told
awk -F, 'FNR == 1 && NR == 1 { next } FILENAME == "learned/params.csv" { g[$1] = $2; a[$1] = $3; b[$1] = $4; next }
    { t = (FNR - 1) % 1800; i = int((FNR - 1) / 1800); c = t ? g[i] * c + $1 : $1; printf "%.17g\n", a[i] * c + b[i] }' learned/params.csv learned.txt > wanted
numbers learned/denoised.npy > reference
agree 'denoised traces of a linear model' reference wanted 1e-9
exits 0 'what was learned infers' "$vdi" spikes infer cells/traces.npy --fps 30 --model learned --report 0 --out again --quiet
numbers again/denoised.npy > got
agree '--model has the denoised traces of that fit' got reference 1e-6
learns holds 'its bound rises' 'BEGIN { FS = "," } NR > 1 && NR <= 21 { a += $2; aa += $2 ^ 2 } NR > 131 { b += $2; bb += $2 ^ 2 }
    END { z = (b - a) / sqrt(aa - a ^ 2 / 20 + bb - b ^ 2 / 20); print (NR == 151 && z > 3) ? "yes" : NR " rows, " z " standard errors" }' learned/trace.csv

exits 0 'what was learned, as a start' "$vdi" spikes fit cells/traces.npy --fps 30 --model linear --init learned/model.safetensors --learning-rate 1e-12 \
    --steps 1 --batch 4 --samples 8 --out still2 --quiet
numbers still2/spikes.npy > got
agree '--init FILE begins with that network' got learned.txt 1e-6

# ---- spikes spine: two streams told apart -------------------------------------------------------------------------------------------

exits 0 'spines' "$vdi" spikes simulate --model spine --cells 2 --traces 1 --frames 1500 --fps 30 --seed 2 --out spines --quiet
for f in traces spikes clean; do numbers spines/$f.npy > spine-$f.txt; done
awk '{ r = int((NR - 1) / 1500); x[r, (NR - 1) % 1500] = $1 }
    END { for (t = 0; t < 1500; t++) { print x[0, t] "," x[2, t] > "dendrite.csv"; print x[1, t] "," x[3, t] > "spine.csv" } }' spine-traces.txt
exits 0 'spikes spine' "$vdi" spikes spine dendrite.csv spine.csv --fps 30 --steps "$(steps 200 4)" --batch 4 --samples 8 --out told --json
for f in bap synaptic dendrite_denoised spine_denoised; do numbers told/$f.npy > $f.txt; done
has 'spikes spine' out.txt "bap_frames=$(awk '{ n += $1 } END { printf "%.17g", n }' bap.txt)" "synaptic_frames=$(awk '{ n += $1 } END { printf "%.17g", n }' synaptic.txt)"
learns holds 'each stream has its own events and not those of the other' 'FILENAME == "bap.txt" { p[0, FNR - 1] = $1; next } FILENAME == "synaptic.txt" { p[1, FNR - 1] = $1; next }
    { r = int((FNR - 1) / 1500); event[r % 2, int(r / 2) * 1500 + (FNR - 1) % 1500] = $1 > 0 }
    END { for (i = 0; i < 3000; i++) for (k = 0; k < 2; k++) if (event[k, i] && !event[1 - k, i]) {
              d = p[k, i] - p[1 - k, i]; n[k]++; s[k] += d; ss[k] += d * d }
          for (k = 0; k < 2; k++) z[k] = s[k] / sqrt(ss[k] - s[k] ^ 2 / n[k])
          print (z[0] > 5 && z[1] > 5) ? "yes" : n[0] " and " n[1] " events, " z[0] " and " z[1] " standard errors" }' bap.txt synaptic.txt spine-spikes.txt
learns holds 'denoised traces follow their own trace and not that of the other' 'function corr(c, k,   i, sx, sy, xx, yy, xy) {
        for (i = 0; i < 1500; i++) { x = est[c, i]; y = clean[k, i]; sx += x; sy += y; xx += x * x; yy += y * y; xy += x * y }
        return (xy - sx * sy / 1500) / sqrt((xx - sx ^ 2 / 1500) * (yy - sy ^ 2 / 1500)) }
    FILENAME == "spine-clean.txt" { clean[int((FNR - 1) / 1500), (FNR - 1) % 1500] = $1; next }
    { est[2 * int((FNR - 1) / 1500) + (FILENAME == "spine_denoised.txt"), (FNR - 1) % 1500] = $1 }
    END { for (c = 0; c < 4; c++) for (k = 0; k < 4; k++) if (k != c && !(corr(c, c) > corr(c, k))) bad = bad " " c " and " k
          print bad == "" ? "yes" : bad }' spine-clean.txt dendrite_denoised.txt spine_denoised.txt

# ---- spikes score: at 25 frames a second a bin of 40 ms is a frame --------------------------------------------------------------------

awk 'BEGIN { srand(8); for (t = 0; t < 120; t++) print (rand() < .2) + (rand() < .05) "," (rand() < .3) > "truth.csv"
    close("truth.csv"); while ((getline line < "truth.csv") > 0) { split(line, s, ","); printf "%.9f,%.9f\n", .6 * s[1] + rand(), .4 * s[2] + rand() > "estimate.csv" } }'
exits 0 'spikes score' "$vdi" spikes score estimate.csv truth.csv --fps 25 --json
# Bin b has the four samples of 100 Hz from frame b on, interpolated to the next frame; two spikes of a frame stand a quarter of it before and
# behind its centre, and bins begin an eighth before.
awk -F, 'FILENAME == "truth.csv" { for (i = 1; i <= 2; i++) { y[i, FNR] += $i - ($i == 2); y[i, FNR - 1] += $i == 2 } next }
    { for (i = 1; i <= 2; i++) { e[i, FNR] = $i; all += $i } n = FNR - 1 }
    END { for (i = 1; i <= 2; i++) {
            sx = sy = xx = yy = xy = wins = pairs = 0
            for (t = 1; t <= n; t++) x[t] = 0.625 * e[i, t] + 0.375 * e[i, t + 1]
            for (t = 1; t <= n; t++) { sx += x[t]; sy += y[i, t]; xx += x[t] ^ 2; yy += y[i, t] ^ 2; xy += x[t] * y[i, t]
                for (u = 1; u <= n; u++) if (y[i, t] > 0 && y[i, u] == 0) { pairs++; wins += x[t] > x[u] ? 1 : x[t] == x[u] ? 0.5 : 0 } }
            r += (xy - sx * sy / n) / sqrt((xx - sx ^ 2 / n) * (yy - sy ^ 2 / n)) / 2; auc += wins / pairs / 2
            l = log(sx / sy); ln += (l < 0 ? -l : l) / 2; count += sx / sy / 2; true += sy }
          printf "r25=%.12g auc=%.12g count=%.12g ln=%.12g estimated_spikes=%.12g true_spikes=%d\n", r, auc, count, ln, all, true }' truth.csv estimate.csv > wanted.txt
# shellcheck disable=SC2046
has 'spikes score' out.txt $(cat wanted.txt) neurons=2

# ---- counts, and what the families of models for counts say of them ---------------------------------------------------------------

printf 'time,unit\n0.01,3\n0.019,3\n0.02,7\n0.055,3\n0.1,7\n1.005,7\n1.06,3\n' > spikes.csv
printf '0,0.1\n1,1.04\n' > events.csv
exits 0 counts "$vdi" counts spikes.csv --bin 0.02 --events events.csv --out binned --quiet
numbers binned/counts.npy > got
printf '2\n0\n0\n1\n1\n0\n0\n0\n0\n0\n0\n1\n0\n0\n0\n0\n0\n0\n0\n0\n' > reference
agree counts got reference

awk 'BEGIN { srand(11); for (b = 0; b < 2; b++) for (t = 0; t < 60; t++) { z = 0.9 * z + 0.8 * (rand() - 0.5); line = ""
    for (j = 0; j < 3; j++) { l = exp(0.2 + (1 - j) * z); u = log(rand()); for (k = 0; (l += u) > 0; k++) u = log(rand()); line = line (j ? "," : "") k }
    print line > (b ? "test.csv" : "train.csv") } }'
homogeneous() { # homogeneous TRAIN TEST: of a bin, under Poisson processes with the means of TRAIN
    awk -F, -v train="$1" 'FILENAME == train { for (j = 1; j <= NF; j++) m[j] += $j; n++; next }
        { for (j = 1; j <= NF; j++) { l = m[j] / n; ll += $j * log(l) - l; for (k = 2; k <= $j; k++) ll -= log(k) } }
        END { printf "%.17g\n", ll / FNR }' "$1" "$2"
}
small='-d 1 --recipe dense --restarts 1 --restart-steps 5 --steps 30 --hidden 5 --encoder-hidden 5'
for family in flds plds vilds; do
    options=$small
    [ $family != plds ] || options='-d 1 --iters 15'
    [ $family != vilds ] || options="$small --obs poisson"
    # shellcheck disable=SC2086
    exits 0 "$family fit" "$vdi" $family fit train.csv $options --out m-$family --json
    exits 0 "$family score" "$vdi" $family score m-$family test.csv --json
    has "$family score" out.txt "homogeneous_per_bin=$(homogeneous train.csv test.csv)"
done
# bits per spike: log probabilities against processes with the means of the training data
bits() { # bits LOG_P
    awk -F, -v logs="$1" 'FILENAME == "train.csv" { for (j = 1; j <= NF; j++) m[j] += $j / 60; next }
        FILENAME == "test.csv" { for (j = 1; j <= NF; j++) { all += $j; ll += $j * log(m[j]) - m[j]; for (k = 2; k <= $j; k++) ll -= log(k) } next }
        { own += $1 } END { printf "%.17g\n", (own - ll) / all / log(2) }' train.csv test.csv "$1"
}
exits 0 'plds score' "$vdi" plds score m-plds test.csv --lno --one-step --json
cp out.txt score.json
for task in lno one-step; do
    exits 0 "plds predict --task $task" "$vdi" plds predict m-plds test.csv --task $task --out said --quiet
    numbers said/log_p.npy > log_p.txt
    has "plds score, $task" score.json "$(echo $task | tr - _)_bits_per_spike=$(bits log_p.txt)"
done
# the mean squared error of what the others say about each count
exits 0 'flds score' "$vdi" flds score m-flds test.csv --lno --rates-out rates.npy --json
numbers rates.npy > rates.txt
tr , '\n' < test.csv > counts.txt
has 'flds score' out.txt "lno_mse=$(paste -d' ' counts.txt rates.txt | awk '{ s += ($1 - $2) ^ 2 } END { printf "%.17g", s / NR }')"
for family in flds plds; do
    exits 0 "$family infer" "$vdi" $family infer m-$family test.csv --out mi --json
    for f in mean cov lagcov; do numbers mi/$f.npy > $f.txt; done
    # a latent of slow dynamics: neighbouring bins vary together, and less than each of them does
    holds "$family infer, covariances" 'FILENAME == "mean.txt" { n++; next } FILENAME == "cov.txt" { c[FNR] = $1; bad += !($1 > 0); next }
        { bad += !($1 ^ 2 < c[FNR] * c[FNR + 1]); lags++; s += $1 > 0 }
        END { print (n == 60 && lags == 59 && !bad && s > 30) ? "yes" : n " " lags " " bad " " s }' mean.txt cov.txt lagcov.txt
done
# samples have those moments
exits 0 'flds infer, samples' "$vdi" flds infer m-flds test.csv --samples 4000 --out mi --quiet
for f in mean cov lagcov samples; do numbers mi/$f.npy > $f.txt; done
holds 'flds infer, samples' 'FILENAME == "mean.txt" { m[FNR - 1] = $1; next } FILENAME == "cov.txt" { c[FNR - 1] = $1; next } FILENAME == "lagcov.txt" { l[FNR - 1] = $1; next }
    { k = (FNR - 1) % 60; z = $1 - m[k]; s[k] += z; ss[k] += z * z; if (k) sl[k - 1] += z * last; last = z }
    END { S = FNR / 60
          for (k = 0; k < 60; k++) {
              e = s[k] / sqrt(S * c[k]); if (e * e > worst) worst = e * e
              e = (ss[k] / S / c[k] - 1) / sqrt(2 / S); if (e * e > worst) worst = e * e
              if (k < 59) { e = (sl[k] / S - l[k]) / sqrt((c[k] * c[k + 1] + l[k] ^ 2) / S); if (e * e > worst) worst = e * e }
          }
          print (S == 4000 && worst < 25) ? "yes" : S " samples, " sqrt(worst) " standard errors" }' mean.txt cov.txt lagcov.txt samples.txt

# ---- sacd: environments, and the episodes of a server of which all is known --------------------------------------------------------------

exits 0 'sacd envs' "$vdi" sacd envs --json
sed 's/}, /}\n/g' out.txt | sed -n 's/^{*"\([a-z-]*\)": {.*"observations": \([0-9]*\), "actions": \([0-9]*\), "components": \[\(.*\)\].*/\1 \2 \3 \4/p' | tr -d '",' > envs.txt
cat > reference << 'END'
pendulum 3 1 angle speed torque
lander 8 2 position velocity angle left_leg right_leg main_engine side_engine failure success
navigate 16 2 goal obstacles fuel time
cartpole 4 1 upright centre effort
cartpole-discrete 4 3 upright centre effort
lunar-lander 8 2 position velocity angle left_leg right_leg main_engine side_engine failure success
bipedal-walker 24 4 forward hull_angle torque failure
END
same envs.txt reference
for env in pendulum lander navigate cartpole cartpole-discrete; do
    exits 0 "$env" "$vdi" sacd train --env $env --hidden 8,8 --batch 8 --start 20 --steps 400 --out env-$env --quiet
    components=$(sed -n "s/^$env [0-9]* [0-9]* //p" reference)
    # a column for each component, and the return is their sum
    holds "log.csv of $env" "BEGIN { FS = \",\"; n = split(\"$components\", name, \" \") }
        NR == 1 { for (i = 1; i <= NF; i++) at[\$i] = i; next }
        { rows++; s = 0; for (i = 1; i <= n; i++) { column = \"r_\" name[i]; if (!(column in at)) bad = bad \" no \" column; s += \$at[column] }
          e = s - \$at[\"return\"]; if (e * e > 1e-8 * (1 + s * s)) bad = bad \" \" s \" is not \" \$at[\"return\"] }
        END { print (rows && bad == \"\") ? \"yes\" : rows \" rows,\" bad }" env-$env/log.csv
done
exits 0 'sacd eval' "$vdi" sacd eval env-pendulum --episodes 3 --json
holds 'the return is the sum of the components' '{ split($0, mean, /"return_mean": /); split(mean[2], r, ","); sub(/.*"components": [{]/, ""); sub(/}.*/, ""); n = split($0, part, ",")
    for (i = 1; i <= n; i++) { sub(/.*: /, "", part[i]); s += part[i] }
    print (n == 3 && (s - r[1]) ^ 2 < 1e-6 * s * s) ? "yes" : s " and " r[1] }' out.txt

echo "values: $passed passed, $failed failed"
[ $failed -eq 0 ]
