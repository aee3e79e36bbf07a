// An Express app as many are: multer puts uploads into a folder, a page shows them. It knows nothing of Perdura.
const express = require('express');
const fs = require('fs');
const multer = require('multer');

const folder = process.env.UPLOADS;
const app = express();
fs.mkdirSync(folder, { recursive: true });
const upload = multer({
  storage: multer.diskStorage({
    destination: folder,
    filename: (request, file, done) => done(null, `${Date.now()}-${file.originalname}`),
  }),
});

app.use('/uploads', express.static(folder));
app.get('/', (request, response) => {
  const images = fs.readdirSync(folder).filter((name) => !name.startsWith('.'));
  response.send(images.map((name) => `<img src="/uploads/${encodeURIComponent(name)}">`).join('\n'));
});
app.post('/', upload.single('photo'), (request, response) => response.redirect('/'));
app.listen(process.env.PORT, '127.0.0.1', () => console.log('gallery is up'));
