"""Words of sound and moving pictures: speech, music, video."""

from __future__ import annotations

from typing import Final

ALIKE: Final = """
# speech
audio sound recording
sound noise
speech voice spoken
transcribe transcript transcription dictation stt
transcribe dictate
speech+text transcribe transcription
tts speak narrate read+aloud text+speech
narrator narration voiceover
voiceover narration tts
voiceover dubbing dub
podcast interview meeting
podcast episode
audiobook narration tts
hear listen audio
memo voice+memo
voicemail recording
speaker diarisation diarization
speakers speaker voices
accent pronunciation
lecture talk speech
mumble mumbling unclear
# cleaning, mixing
noise hiss hum
noise static crackle
denoise noise
echo reverb noise
volume loudness loud
loudness lufs normalise
quiet volume
equaliser eq
mute silence
# music
song track music
song tune melody
mp3 audio
wav audio
flac lossless
vocals singing karaoke
sing vocals
acapella vocals
instrument drum bass stem
stems multitrack
instrumental karaoke
bpm tempo beat
key tonality
score sheet+music notation
midi notation
jingle tune
soundtrack music
lyrics words+song
album record
band artist musician
playlist tracks
remix mix
guitar piano instrument
dj bpm
royalty+free licence+free
# video
video clip movie film footage
clip trim
clip excerpt
trim cut shorten
mov quicktime
mp4 mov video
mkv matroska
caption subtitle
subtitles caption
subtitle srt vtt
frame still
still thumbnail
slow+motion slowmo
timelapse time+lapse
gif clip
reel reels shorts
vlog video
footage recording
bitrate bit+rate
codec encode
h264 h265 hevc codec
stream streaming netflix
webinar video
webcam camera
trailer preview
lipsync lip+sync
"""

IMPLIED: Final = """
# speech to text
type up, write down said, said meeting, minutes meeting, notes from call > transcribe transcription speech text
notes meeting, interview text, written version, recording text, voice memo text > transcribe transcription speech text
voice note text, voice notes, lecture recording, dictaphone, audio to text > transcribe transcription speech text
audio into text, podcast text, spoken words, speech into text > transcribe transcription speech text
otter, whisper > transcribe speech
read court hearing > transcribe
# text to speech
read aloud, read out, read out loud, read to me, listen instead, listen article, audio version > text to speech voice
spoken version, computer voice, natural voice, out loud, voice for video, narrate > text to speech voice
announcement voice, audiobook > text to speech voice
elevenlabs > speech voice
siri, alexa > voice speech
own voice, my voice, sounds like me, copy voice, imitate voice, celebrity voice, voice sample > voice cloning clone
voice double, same voice > voice cloning clone
# sound clean-up
background noise, traffic noise, wind noise, hissing, buzzing, humming, crackling > noise removal clean audio
air conditioner, fan noise, dog barking, noisy recording, noisy interview, muffled > noise removal clean audio
bad microphone, clear up recording > noise removal clean audio
too quiet, too loud > volume loudness
# music
hear song, what song, which song, song playing, name song, name tune, name that tune > music recognition identify song
tune playing, song radio, song bar, song in advert, song in ad, song from film > music recognition identify song
who sings, who sang, song called, shazam, hum tune, earworm, catchy > music recognition identify song
words song, words to song, words of song, sing along, singalong, text of song, chorus > lyrics
remove vocals, without singer, without singing, without voice song, only singer, only vocals > stem separation vocals
isolate singer, just drums, only drums, backing track, karaoke, acappella, a cappella > stem separation vocals
minus one > stem separation vocals
karaoke > vocals stem
how fast song, beats minute, beat song, mixing songs, what key > tempo bpm
music video, music for video, music for film, background music, music for podcast > music generation compose
intro music, jingle, royalty free, soundtrack for, tune for, gentle piano, relaxing music > music generation compose
lofi, compose song > music generation compose
spotify, soundcloud > music
# video
thumbnail, frame video, single frame, picture from video, picture out of video, photo from video > still frame
freeze frame, freeze video, grab picture video, youtube thumbnail > still frame
short video, cut video, first seconds, last seconds, first minute, cut beginning, cut end, cut start > trim clip
shorten video, only part video, part of video, shorter video, boring bits > trim clip
smaller video, video too big, video too large, video whatsapp, video email, shrink video, video mb > compress video
video file size > compress video
subtitles > caption
deaf viewers, hard of hearing, hearing impaired, watch without sound, silent viewers > subtitle caption
what happens video, hour long video, long video, video points, key moments, don't watch > video summary
without watching, skip watching, no time watch, watch whole, recorded lecture, webinar recording > video summary
youtube video gist > video summary
sound from video, audio from video, sound of video, only sound, soundtrack from > mp4 mp3 audio convert
music from video, extract audio > mp4 mp3 audio convert
animated picture, loop clip, looping > gif
vhs, camcorder > video convert
video player won't, won't play, doesn't play, play on tv, play on iphone, play windows > mp4 convert
movie from photos > video slideshow
# who hears what
deaf > subtitle caption
chop off, lop off, beginning off, seconds off > trim cut
radio song, jukebox > music recognition
teleprompter > script
"""
