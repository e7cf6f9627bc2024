/* tests/header/macros.h - what windows.h, X11, Arduino and users define, so that any use of it
 * breaks
 *
 * Included with MACROS_CHECK it looks whether each is still there, and as it was: the same
 * definition again is silent, another is a warning. Those with arguments are as their headers have
 * them.
 */
#ifdef MACROS_CHECK
#ifndef A
#error "A is gone"
#endif
#ifndef B
#error "B is gone"
#endif
#ifndef C
#error "C is gone"
#endif
#ifndef D
#error "D is gone"
#endif
#ifndef E
#error "E is gone"
#endif
#ifndef F
#error "F is gone"
#endif
#ifndef G
#error "G is gone"
#endif
#ifndef H
#error "H is gone"
#endif
#ifndef I
#error "I is gone"
#endif
#ifndef J
#error "J is gone"
#endif
#ifndef K
#error "K is gone"
#endif
#ifndef L
#error "L is gone"
#endif
#ifndef M
#error "M is gone"
#endif
#ifndef N
#error "N is gone"
#endif
#ifndef O
#error "O is gone"
#endif
#ifndef P
#error "P is gone"
#endif
#ifndef Q
#error "Q is gone"
#endif
#ifndef R
#error "R is gone"
#endif
#ifndef S
#error "S is gone"
#endif
#ifndef T
#error "T is gone"
#endif
#ifndef U
#error "U is gone"
#endif
#ifndef V
#error "V is gone"
#endif
#ifndef W
#error "W is gone"
#endif
#ifndef X
#error "X is gone"
#endif
#ifndef Y
#error "Y is gone"
#endif
#ifndef Z
#error "Z is gone"
#endif
#ifndef a
#error "a is gone"
#endif
#ifndef b
#error "b is gone"
#endif
#ifndef c
#error "c is gone"
#endif
#ifndef d
#error "d is gone"
#endif
#ifndef e
#error "e is gone"
#endif
#ifndef f
#error "f is gone"
#endif
#ifndef g
#error "g is gone"
#endif
#ifndef h
#error "h is gone"
#endif
#ifndef i
#error "i is gone"
#endif
#ifndef j
#error "j is gone"
#endif
#ifndef k
#error "k is gone"
#endif
#ifndef l
#error "l is gone"
#endif
#ifndef m
#error "m is gone"
#endif
#ifndef n
#error "n is gone"
#endif
#ifndef o
#error "o is gone"
#endif
#ifndef p
#error "p is gone"
#endif
#ifndef q
#error "q is gone"
#endif
#ifndef r
#error "r is gone"
#endif
#ifndef s
#error "s is gone"
#endif
#ifndef t
#error "t is gone"
#endif
#ifndef u
#error "u is gone"
#endif
#ifndef v
#error "v is gone"
#endif
#ifndef w
#error "w is gone"
#endif
#ifndef x
#error "x is gone"
#endif
#ifndef y
#error "y is gone"
#endif
#ifndef z
#error "z is gone"
#endif
#ifndef near
#error "near is gone"
#endif
#ifndef far
#error "far is gone"
#endif
#ifndef small
#error "small is gone"
#endif
#ifndef hyper
#error "hyper is gone"
#endif
#ifndef interface
#error "interface is gone"
#endif
#ifndef min
#error "min is gone"
#endif
#ifndef max
#error "max is gone"
#endif
#ifndef pascal
#error "pascal is gone"
#endif
#ifndef cdecl
#error "cdecl is gone"
#endif
#ifndef NEAR
#error "NEAR is gone"
#endif
#ifndef FAR
#error "FAR is gone"
#endif
#ifndef IN
#error "IN is gone"
#endif
#ifndef OUT
#error "OUT is gone"
#endif
#ifndef OPTIONAL
#error "OPTIONAL is gone"
#endif
#ifndef CONST
#error "CONST is gone"
#endif
#ifndef VOID
#error "VOID is gone"
#endif
#ifndef BOOL
#error "BOOL is gone"
#endif
#ifndef TRUE
#error "TRUE is gone"
#endif
#ifndef FALSE
#error "FALSE is gone"
#endif
#ifndef ERROR
#error "ERROR is gone"
#endif
#ifndef DELETE
#error "DELETE is gone"
#endif
#ifndef Bool
#error "Bool is gone"
#endif
#ifndef Status
#error "Status is gone"
#endif
#ifndef None
#error "None is gone"
#endif
#ifndef Always
#error "Always is gone"
#endif
#ifndef True
#error "True is gone"
#endif
#ifndef False
#error "False is gone"
#endif
#ifndef Success
#error "Success is gone"
#endif
#ifndef Complex
#error "Complex is gone"
#endif
#ifndef Convex
#error "Convex is gone"
#endif
#ifndef Above
#error "Above is gone"
#endif
#ifndef Below
#error "Below is gone"
#endif
#ifndef Unsorted
#error "Unsorted is gone"
#endif
#ifndef B0
#error "B0 is gone"
#endif
#ifndef B1
#error "B1 is gone"
#endif
#ifndef B00
#error "B00 is gone"
#endif
#ifndef B01
#error "B01 is gone"
#endif
#ifndef B10
#error "B10 is gone"
#endif
#ifndef B11
#error "B11 is gone"
#endif
#ifndef PI
#error "PI is gone"
#endif
#ifndef HALF_PI
#error "HALF_PI is gone"
#endif
#ifndef TWO_PI
#error "TWO_PI is gone"
#endif
#ifndef DEG_TO_RAD
#error "DEG_TO_RAD is gone"
#endif
#ifndef RAD_TO_DEG
#error "RAD_TO_DEG is gone"
#endif
#ifndef EULER
#error "EULER is gone"
#endif
#ifndef HIGH
#error "HIGH is gone"
#endif
#ifndef LOW
#error "LOW is gone"
#endif
#ifndef INPUT
#error "INPUT is gone"
#endif
#ifndef OUTPUT
#error "OUTPUT is gone"
#endif
#ifndef DEFAULT
#error "DEFAULT is gone"
#endif
#ifndef CHANGE
#error "CHANGE is gone"
#endif
#ifndef EXTERNAL
#error "EXTERNAL is gone"
#endif
#ifndef INTERNAL
#error "INTERNAL is gone"
#endif
#ifndef abs
#error "abs is gone"
#endif
#ifndef round
#error "round is gone"
#endif
#ifndef bit
#error "bit is gone"
#endif
#ifndef word
#error "word is gone"
#endif
#ifndef sq
#error "sq is gone"
#endif
#ifndef constrain
#error "constrain is gone"
#endif
#ifndef radians
#error "radians is gone"
#endif
#ifndef degrees
#error "degrees is gone"
#endif
#ifndef lowByte
#error "lowByte is gone"
#endif
#ifndef highByte
#error "highByte is gone"
#endif
#ifndef bitRead
#error "bitRead is gone"
#endif
#ifndef bitSet
#error "bitSet is gone"
#endif
#ifndef bitClear
#error "bitClear is gone"
#endif
#ifndef bitWrite
#error "bitWrite is gone"
#endif
#ifndef linux
#error "linux is gone"
#endif
#ifndef unix
#error "unix is gone"
#endif
#ifndef sun
#error "sun is gone"
#endif
#ifndef i386
#error "i386 is gone"
#endif
#ifndef major
#error "major is gone"
#endif
#ifndef minor
#error "minor is gone"
#endif
#ifndef check
#error "check is gone"
#endif
#ifndef verify
#error "verify is gone"
#endif
#ifndef require
#error "require is gone"
#endif
#ifndef border
#error "border is gone"
#endif
#ifndef clear
#error "clear is gone"
#endif
#ifndef move
#error "move is gone"
#endif
#ifndef echo
#error "echo is gone"
#endif
#else
#undef A
#undef B
#undef C
#undef D
#undef E
#undef F
#undef G
#undef H
#undef I
#undef J
#undef K
#undef L
#undef M
#undef N
#undef O
#undef P
#undef Q
#undef R
#undef S
#undef T
#undef U
#undef V
#undef W
#undef X
#undef Y
#undef Z
#undef a
#undef b
#undef c
#undef d
#undef e
#undef f
#undef g
#undef h
#undef i
#undef j
#undef k
#undef l
#undef m
#undef n
#undef o
#undef p
#undef q
#undef r
#undef s
#undef t
#undef u
#undef v
#undef w
#undef x
#undef y
#undef z
#undef near
#undef far
#undef small
#undef hyper
#undef interface
#undef min
#undef max
#undef pascal
#undef cdecl
#undef NEAR
#undef FAR
#undef IN
#undef OUT
#undef OPTIONAL
#undef CONST
#undef VOID
#undef BOOL
#undef TRUE
#undef FALSE
#undef ERROR
#undef DELETE
#undef Bool
#undef Status
#undef None
#undef Always
#undef True
#undef False
#undef Success
#undef Complex
#undef Convex
#undef Above
#undef Below
#undef Unsorted
#undef B0
#undef B1
#undef B00
#undef B01
#undef B10
#undef B11
#undef PI
#undef HALF_PI
#undef TWO_PI
#undef DEG_TO_RAD
#undef RAD_TO_DEG
#undef EULER
#undef HIGH
#undef LOW
#undef INPUT
#undef OUTPUT
#undef DEFAULT
#undef CHANGE
#undef EXTERNAL
#undef INTERNAL
#undef abs
#undef round
#undef bit
#undef word
#undef sq
#undef constrain
#undef radians
#undef degrees
#undef lowByte
#undef highByte
#undef bitRead
#undef bitSet
#undef bitClear
#undef bitWrite
#undef linux
#undef unix
#undef sun
#undef i386
#undef major
#undef minor
#undef check
#undef verify
#undef require
#undef border
#undef clear
#undef move
#undef echo
#endif
#define A ) broken A_ (
#define B ) broken B_ (
#define C ) broken C_ (
#define D ) broken D_ (
#define E ) broken E_ (
#define F(text) ) broken F_ (
#define G ) broken G_ (
#define H ) broken H_ (
#define I ) broken I_ (
#define J ) broken J_ (
#define K ) broken K_ (
#define L ) broken L_ (
#define M ) broken M_ (
#define N ) broken N_ (
#define O ) broken O_ (
#define P ) broken P_ (
#define Q ) broken Q_ (
#define R ) broken R_ (
#define S ) broken S_ (
#define T ) broken T_ (
#define U ) broken U_ (
#define V ) broken V_ (
#define W ) broken W_ (
#define X ) broken X_ (
#define Y ) broken Y_ (
#define Z ) broken Z_ (
#define a ) broken a_ (
#define b ) broken b_ (
#define c ) broken c_ (
#define d ) broken d_ (
#define e ) broken e_ (
#define f ) broken f_ (
#define g ) broken g_ (
#define h ) broken h_ (
#define i ) broken i_ (
#define j ) broken j_ (
#define k ) broken k_ (
#define l ) broken l_ (
#define m ) broken m_ (
#define n ) broken n_ (
#define o ) broken o_ (
#define p ) broken p_ (
#define q ) broken q_ (
#define r ) broken r_ (
#define s ) broken s_ (
#define t ) broken t_ (
#define u ) broken u_ (
#define v ) broken v_ (
#define w ) broken w_ (
#define x ) broken x_ (
#define y ) broken y_ (
#define z ) broken z_ (
#define near ) broken near_ (
#define far ) broken far_ (
#define small ) broken small_ (
#define hyper ) broken hyper_ (
#define interface ) broken interface_ (
#define min(a, b) ) broken min_ (
#define max(a, b) ) broken max_ (
#define pascal ) broken pascal_ (
#define cdecl ) broken cdecl_ (
#define NEAR ) broken NEAR_ (
#define FAR ) broken FAR_ (
#define IN ) broken IN_ (
#define OUT ) broken OUT_ (
#define OPTIONAL ) broken OPTIONAL_ (
#define CONST ) broken CONST_ (
#define VOID ) broken VOID_ (
#define BOOL ) broken BOOL_ (
#define TRUE ) broken TRUE_ (
#define FALSE ) broken FALSE_ (
#define ERROR ) broken ERROR_ (
#define DELETE ) broken DELETE_ (
#define Bool ) broken Bool_ (
#define Status ) broken Status_ (
#define None ) broken None_ (
#define Always ) broken Always_ (
#define True ) broken True_ (
#define False ) broken False_ (
#define Success ) broken Success_ (
#define Complex ) broken Complex_ (
#define Convex ) broken Convex_ (
#define Above ) broken Above_ (
#define Below ) broken Below_ (
#define Unsorted ) broken Unsorted_ (
#define B0 ) broken B0_ (
#define B1 ) broken B1_ (
#define B00 ) broken B00_ (
#define B01 ) broken B01_ (
#define B10 ) broken B10_ (
#define B11 ) broken B11_ (
#define PI ) broken PI_ (
#define HALF_PI ) broken HALF_PI_ (
#define TWO_PI ) broken TWO_PI_ (
#define DEG_TO_RAD ) broken DEG_TO_RAD_ (
#define RAD_TO_DEG ) broken RAD_TO_DEG_ (
#define EULER ) broken EULER_ (
#define HIGH ) broken HIGH_ (
#define LOW ) broken LOW_ (
#define INPUT ) broken INPUT_ (
#define OUTPUT ) broken OUTPUT_ (
#define DEFAULT ) broken DEFAULT_ (
#define CHANGE ) broken CHANGE_ (
#define EXTERNAL ) broken EXTERNAL_ (
#define INTERNAL ) broken INTERNAL_ (
#define abs(x) ) broken abs_ (
#define round(x) ) broken round_ (
#define bit(b) ) broken bit_ (
#define word(...) ) broken word_ (
#define sq(x) ) broken sq_ (
#define constrain(x, low, high) ) broken constrain_ (
#define radians(x) ) broken radians_ (
#define degrees(x) ) broken degrees_ (
#define lowByte(w) ) broken lowByte_ (
#define highByte(w) ) broken highByte_ (
#define bitRead(x, b) ) broken bitRead_ (
#define bitSet(x, b) ) broken bitSet_ (
#define bitClear(x, b) ) broken bitClear_ (
#define bitWrite(x, b, v) ) broken bitWrite_ (
#define linux ) broken linux_ (
#define unix ) broken unix_ (
#define sun ) broken sun_ (
#define i386 ) broken i386_ (
#define major ) broken major_ (
#define minor ) broken minor_ (
#define check(x) ) broken check_ (
#define verify(x) ) broken verify_ (
#define require(x) ) broken require_ (
#define border(...) ) broken border_ (
#define clear() ) broken clear_ (
#define move(y, x) ) broken move_ (
#define echo() ) broken echo_ (
